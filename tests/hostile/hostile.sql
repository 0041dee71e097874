-- Plants objects that fit better than those of pg_catalog. Run by a superuser with psql -v schema=NAME -v existing=BOOLEAN:
-- into that schema, of the role hostile_owner, by which hostile.c knows them. Each does what the one of pg_catalog would.
--   * an operator for each pair of types for which pg_catalog has none of its own, but one that the parser finds by a cast;
--   * with existing, one for each pair for which it has: they win where pg_catalog comes later on the search path;
--   * a function for each name that statements of the extension call, with arguments of just one type.
SET client_min_messages = error;
SET search_path = pg_catalog, pg_temp;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hostile_owner') THEN
        CREATE ROLE hostile_owner NOLOGIN;
    END IF;
END $$;
SELECT set_config('hostile.schema', :'schema', false) AS schema, set_config('hostile.existing', :'existing', false) AS existing \gset ignored_
CREATE SCHEMA IF NOT EXISTS :"schema";
GRANT ALL ON SCHEMA :"schema" TO hostile_owner;
GRANT USAGE ON SCHEMA :"schema" TO PUBLIC;
-- pgvector's types, where it is there already.
CREATE TEMP TABLE hostile_type AS
SELECT t.oid, format_type(t.oid, NULL) AS name
  FROM pg_type t
 WHERE t.oid = ANY (ARRAY ['oid', 'regclass', 'regtype', 'regproc', 'regrole', 'regnamespace', 'int2', 'int4', 'int8', '"char"', 'name',
           'text', 'varchar', 'bool', 'float4', 'float8', 'numeric', 'timestamptz', 'timestamp', 'date', 'interval', 'jsonb', 'json',
           'bytea', 'uuid', 'tsvector', 'tsquery', 'oid[]', 'int2[]', 'int2vector', 'oidvector', 'int4[]', 'int8[]', 'text[]', 'name[]',
           'regclass[]', 'pg_lsn', 'xid', 'tid']::regtype[])
    OR t.oid IN (SELECT d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'vector'
                  WHERE d.classid = 'pg_type'::regclass AND d.deptype = 'e');
-- Operators whose operands' types differ or that only a cast or a polymorphic operator makes possible.
DO $$
DECLARE
    schema text := quote_ident(current_setting('hostile.schema'));
    with_existing boolean := current_setting('hostile.existing');
    a record;
    b record;
    operator text;
    result regtype;
    function text;
    number int := 0;
BEGIN
    FOREACH operator IN ARRAY ARRAY ['=', '<>', '<', '>', '<=', '>=', '+', '-', '*', '/', '%', '||', '&', '|', '@>', '<@', '&&', '->',
                                     '->>', '#>', '#>>', '~', '~*', '!~', '~~', '!~~', '~~*', '@@'] LOOP
        FOR a IN SELECT oid, name FROM hostile_type LOOP
            FOR b IN SELECT oid, name FROM hostile_type LOOP
                IF EXISTS (SELECT FROM pg_operator o WHERE o.oprname = operator AND o.oprleft = a.oid AND o.oprright = b.oid
                              AND o.oprnamespace = 'pg_catalog'::regnamespace) THEN
                    CONTINUE WHEN NOT with_existing;
                END IF;
                BEGIN
                    EXECUTE format('SELECT pg_typeof(NULL::%s OPERATOR(pg_catalog.%s) NULL::%s)', a.name, operator, b.name) INTO result;
                EXCEPTION WHEN OTHERS THEN
                    CONTINUE;
                END;
                number := number + 1;
                function := format('%s.hostile_operator_%s', schema, number);
                EXECUTE format('CREATE FUNCTION %s(%s, %s) RETURNS %s LANGUAGE sql IMMUTABLE RETURN $1 OPERATOR(pg_catalog.%s) $2',
                               function, a.name, b.name, result, operator);
                EXECUTE format('ALTER FUNCTION %s OWNER TO hostile_owner', function);
                EXECUTE format('CREATE OPERATOR %s.%s (FUNCTION = %s, LEFTARG = %s, RIGHTARG = %s)',
                               schema, operator, function, a.name, b.name);
                EXECUTE format('ALTER OPERATOR %s.%s (%s, %s) OWNER TO hostile_owner', schema, operator, a.name, b.name);
            END LOOP;
        END LOOP;
    END LOOP;
END $$;
