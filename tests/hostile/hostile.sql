-- Plants objects that fit better than those of pg_catalog. Run by a superuser with psql -v schema=NAME -v existing=BOOLEAN:
-- into that schema, of the role hostile_owner, by which hostile.c knows them. Each does what the one of pg_catalog would.
--   * an operator for each pair of types for which pg_catalog has none of its own, but one that the parser finds by a cast;
--   * with existing, one for each pair for which it has: they win where pg_catalog comes later on the search path;
--   * a function for each name that statements of the extension call, with arguments of just one type;
--   * a type that any other becomes by itself and that becomes any other, with operators and functions that take it;
--   * with types=true, domains that are called like types that statements of the extension cast to, but those of without;
--   * operators on vectors, where pgvector is there already.
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
DROP TABLE IF EXISTS pg_temp.hostile_type;
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
-- Functions: of polymorphic ones, those with arguments of one type fit better; of others only the same, where pg_catalog comes
-- later.
DO $$
DECLARE
    schema text := quote_ident(current_setting('hostile.schema'));
    with_existing boolean := current_setting('hostile.existing');
    statement text;
BEGIN
    FOR statement IN
        SELECT format(s, schema, t)
          FROM unnest(ARRAY ['text', 'name', 'int2', 'int4', 'int8', 'oid', 'float8', 'bytea', 'regclass', 'bool', 'uuid', 'jsonb']) t,
               unnest(ARRAY ['FUNCTION %1$s.unnest(pg_catalog.%2$s[]) RETURNS SETOF pg_catalog.%2$s LANGUAGE internal IMMUTABLE STRICT ROWS 100 AS ''array_unnest''',
                             'FUNCTION %1$s.cardinality(pg_catalog.%2$s[]) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS ''array_cardinality''',
                             'FUNCTION %1$s.array_position(pg_catalog.%2$s[], pg_catalog.%2$s) RETURNS int LANGUAGE internal IMMUTABLE AS ''array_position''',
                             'FUNCTION %1$s.pg_typeof(pg_catalog.%2$s) RETURNS regtype LANGUAGE internal STABLE AS ''pg_typeof''',
                             'FUNCTION %1$s.to_jsonb(pg_catalog.%2$s) RETURNS jsonb LANGUAGE internal STABLE STRICT AS ''to_jsonb''',
                             'FUNCTION %1$s.quote_literal(pg_catalog.%2$s) RETURNS text LANGUAGE sql STABLE STRICT RETURN pg_catalog.quote_literal($1)',
                             'FUNCTION %1$s.concat_ws(text, pg_catalog.%2$s, text) RETURNS text LANGUAGE sql STABLE RETURN pg_catalog.concat_ws($1, $2, $3)',
                             'FUNCTION %1$s.format(text, pg_catalog.%2$s) RETURNS text LANGUAGE sql STABLE RETURN pg_catalog.format($1, $2)',
                             'FUNCTION %1$s.jsonb_build_object(text, pg_catalog.%2$s) RETURNS jsonb LANGUAGE sql STABLE RETURN pg_catalog.jsonb_build_object($1, $2)',
                             'AGGREGATE %1$s.count(pg_catalog.%2$s) (SFUNC = int8inc_any, STYPE = int8, INITCOND = ''0'')',
                             'AGGREGATE %1$s.array_agg(pg_catalog.%2$s) (SFUNC = array_append, STYPE = pg_catalog.%2$s[])']) s
        UNION ALL
        SELECT format('FUNCTION %s.%I(%s) RETURNS %s LANGUAGE internal %s %s AS %L', schema, p.proname,
                      pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid),
                      CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END,
                      CASE WHEN p.proisstrict THEN 'STRICT' END, p.prosrc)
          FROM pg_proc p
          JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'internal'
         WHERE with_existing AND p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.provariadic = 0
           AND p.proargmodes IS NULL AND p.proname NOT IN ('unnest', 'cardinality', 'array_position', 'pg_typeof', 'to_jsonb')
           AND NOT EXISTS (SELECT FROM unnest(p.proargtypes::oid[] || p.prorettype) a JOIN pg_type t ON t.oid = a WHERE t.typtype = 'p')
           AND p.proname IN ('now', 'clock_timestamp', 'nextval', 'current_setting', 'set_config', 'pg_has_role', 'has_table_privilege',
               'has_schema_privilege', 'has_column_privilege', 'quote_ident', 'to_timestamp', 'make_interval', 'pg_backend_pid', 'to_tsvector',
               'generate_series', 'left', 'right', 'octet_length', 'char_length', 'hashtext', 'convert_to', 'getdatabaseencoding', 'date_part', 'round',
               'pg_get_userbyid', 'format_type', 'lower', 'upper', 'current_database', 'to_regclass', 'pg_total_relation_size',
               'pg_relation_size', 'pg_partition_root', 'tsvector_to_array', 'pg_get_expr', 'pg_table_is_visible', 'version', 'abs', 'ceil',
               'floor', 'sqrt', 'random', 'md5', 'encode', 'decode', 'regexp_replace', 'substr', 'strpos', 'replace', 'array_to_string',
               'string_to_array', 'jsonb_strip_nulls', 'pg_notify', 'obj_description', 'pg_get_indexdef', 'gen_random_uuid')
    LOOP
        EXECUTE 'CREATE ' || statement;
    END LOOP;
    FOR statement IN
        SELECT format('ALTER ROUTINE %s OWNER TO hostile_owner', p.oid::regprocedure)
          FROM pg_proc p WHERE p.pronamespace = schema::regnamespace AND p.proname NOT LIKE 'hostile%' AND p.prolang IN (12, 14)
                           AND p.proowner = (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user)
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
-- A type of anybody's: who owns one may create implicit casts from and to any other. What takes it fits where nothing else does.
DO $$
DECLARE
    schema text := quote_ident(current_setting('hostile.schema'));
    own text := schema || '.hostile_value';
    statement text;
    type record;
    pair record;
    form record;
    operator text;
    number int := 0;
BEGIN
    EXECUTE format('CREATE TYPE %s AS ENUM (''hostile'')', own);
    FOR type IN SELECT name FROM hostile_type LOOP
        number := number + 1;
        EXECUTE format('CREATE FUNCTION %s.hostile_from_%s(%s) RETURNS %s LANGUAGE sql IMMUTABLE RETURN NULL::%4$s', schema, number, type.name, own);
        EXECUTE format('CREATE FUNCTION %s.hostile_to_%s(%s) RETURNS %s LANGUAGE sql IMMUTABLE RETURN NULL::%4$s', schema, number, own, type.name);
        EXECUTE format('CREATE CAST (%s AS %s) WITH FUNCTION %s.hostile_from_%s(%1$s) AS IMPLICIT', type.name, own, schema, number);
        EXECUTE format('CREATE CAST (%s AS %s) WITH FUNCTION %s.hostile_to_%s(%1$s) AS IMPLICIT', own, type.name, schema, number);
    END LOOP;
    FOR pair IN SELECT name AS a, own AS b FROM hostile_type UNION ALL SELECT own, name FROM hostile_type UNION ALL SELECT own, own LOOP
        FOR form IN SELECT * FROM (VALUES ('bool', '= <> < > <= >= @> <@ && @@ ~ ~~ ~*'), ('float8', '<=> <-> <#>'), ('text', '|| -> ->> #>>'),
                                          (own, '+ - * / & |')) AS f (result, operators) LOOP
            number := number + 1;
            EXECUTE format('CREATE FUNCTION %s.hostile_value_%s(%s, %s) RETURNS %s LANGUAGE sql IMMUTABLE RETURN NULL::%5$s',
                           schema, number, pair.a, pair.b, form.result);
            FOREACH operator IN ARRAY string_to_array(form.operators, ' ') LOOP
                EXECUTE format('CREATE OPERATOR %1$s.%2$s (FUNCTION = %1$s.hostile_value_%3$s, LEFTARG = %4$s, RIGHTARG = %5$s)',
                               schema, operator, number, pair.a, pair.b);
                EXECUTE format('ALTER OPERATOR %s.%s (%s, %s) OWNER TO hostile_owner', schema, operator, pair.a, pair.b);
            END LOOP;
        END LOOP;
    END LOOP;
    FOR statement IN SELECT format('CREATE FUNCTION %s.%s', schema, format(function, own))
          FROM unnest(ARRAY ['unnest(%1$s[]) RETURNS SETOF %1$s LANGUAGE internal IMMUTABLE STRICT AS ''array_unnest''',
                             'cardinality(%1$s[]) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS ''array_cardinality''',
                             'to_jsonb(%1$s) RETURNS jsonb LANGUAGE internal STABLE STRICT AS ''to_jsonb''',
                             'format(text, %1$s) RETURNS text LANGUAGE sql RETURN NULL::text',
                             'length(%1$s) RETURNS int LANGUAGE sql RETURN NULL::int']) function LOOP
        EXECUTE statement;
    END LOOP;
    FOR statement IN SELECT format('ALTER ROUTINE %s OWNER TO hostile_owner', oid::regprocedure)
          FROM pg_proc WHERE pronamespace = schema::regnamespace AND proowner = current_user::regrole LOOP
        EXECUTE statement;
    END LOOP;
    EXECUTE format('ALTER TYPE %s OWNER TO hostile_owner', own);
END $$;
\if :{?without}
\else
\set without ''
\endif
SELECT set_config('hostile.without', :'without', false) AS without \gset ignored_
\if :{?types}
\if :types
DO $$
DECLARE
    schema text := quote_ident(current_setting('hostile.schema'));
    type text;
BEGIN
    FOREACH type IN ARRAY ARRAY ['text', 'name', 'oid', 'regclass', 'regtype', 'regrole', 'regnamespace', 'regconfig', 'int2', 'int4', 'int8', 'float4',
                                 'float8', 'bool', 'bytea', 'jsonb', 'json', 'uuid', 'timestamptz', 'tsvector', 'tsquery', 'tid', 'numeric'] LOOP
        CONTINUE WHEN type = ANY (string_to_array(current_setting('hostile.without'), ' '));
        EXECUTE format('CREATE DOMAIN %s.%I AS pg_catalog.%I', schema, type, type);
        EXECUTE format('ALTER DOMAIN %s.%I OWNER TO hostile_owner', schema, type);
    END LOOP;
    FOREACH type IN ARRAY ARRAY ['vector', 'halfvec'] LOOP
        CONTINUE WHEN type = ANY (string_to_array(current_setting('hostile.without'), ' '))
                   OR EXISTS (SELECT FROM pg_type t WHERE t.typname = type AND t.typnamespace = schema::regnamespace);
        EXECUTE format('CREATE DOMAIN %s.%I AS pg_catalog.text', schema, type);
        EXECUTE format('ALTER DOMAIN %s.%I OWNER TO hostile_owner', schema, type);
    END LOOP;
END $$;
\endif
\endif
\ir vectors.sql
