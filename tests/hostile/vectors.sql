-- Plants operators that fit better than those of pgvector, where that is installed. Run as hostile.sql, which includes it.
SET client_min_messages = error;
SET search_path = pg_catalog, pg_temp;
SELECT set_config('hostile.schema', :'schema', false) AS schema \gset ignored_
DO $$
DECLARE
    schema text := quote_ident(current_setting('hostile.schema'));
    vectors regnamespace := (SELECT extnamespace FROM pg_extension WHERE extname = 'vector');
    vector text := vectors || '.vector';
    pair record;
    operator text;
    number int := 0;
    function text;
    body text;
BEGIN
    IF vectors IS NULL THEN
        RETURN;
    END IF;
    FOR pair IN
        WITH type AS (
            SELECT t.oid, format_type(t.oid, NULL) AS name
              FROM pg_type t
             WHERE t.oid = ANY (ARRAY ['real[]', 'float8[]', 'int4[]', 'text', 'jsonb']::regtype[])
                OR t.typnamespace = vectors AND t.typname IN ('vector', 'halfvec', 'sparsevec')
        )
        SELECT a.name AS a, b.name AS b, a.oid AS left, b.oid AS right FROM type a, type b WHERE 'text' NOT IN (a.name, b.name) OR a.name <> b.name
    LOOP
        number := number + 1;
        function := format('%s.hostile_vector_%s', schema, number);
        body := 'NULL::float8';
        IF pair.a IN (vector, 'real[]', 'text') AND pair.b IN (vector, 'real[]', 'text') THEN
            -- As pgvector would, had it such an operator.
            body := format('(1 - (($1::%1$s OPERATOR(%2$s.<#>) $2::%1$s) * -1))', vector, vectors);
        END IF;
        EXECUTE format('CREATE FUNCTION %s(%s, %s) RETURNS float8 LANGUAGE sql IMMUTABLE RETURN %s', function, pair.a, pair.b, body);
        EXECUTE format('ALTER FUNCTION %s OWNER TO hostile_owner', function);
        FOREACH operator IN ARRAY ARRAY ['<=>', '<->', '<#>', '<+>'] LOOP
            CONTINUE WHEN EXISTS (SELECT FROM pg_operator o
                                   WHERE o.oprname = operator AND o.oprleft = pair.left AND o.oprright = pair.right AND o.oprnamespace = schema::regnamespace);
            EXECUTE format('CREATE OPERATOR %s.%s (FUNCTION = %s, LEFTARG = %s, RIGHTARG = %s)', schema, operator, function, pair.a, pair.b);
            EXECUTE format('ALTER OPERATOR %s.%s (%s, %s) OWNER TO hostile_owner', schema, operator, pair.a, pair.b);
        END LOOP;
    END LOOP;
END $$;
