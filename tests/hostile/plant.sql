-- What scripts/test.sh plants before the regression tests run: hostile objects in schema public and in one that is named
-- like the superuser, before those of pg_catalog for everybody who connects.
\set existing true
\set types true
-- Not those that columns of the tests' tables are of, which are theirs to have; pgvector is yet to be created.
\set without 'text name jsonb uuid date timestamptz vector halfvec'
\set schema public
\ir hostile.sql
SELECT current_user AS schema \gset
\ir hostile.sql
\ir watch.sql
SELECT format('ALTER DATABASE %I SET search_path = public, "$user", pg_catalog', current_database()) \gexec
-- PostgreSQL's own ts_stat runs a statement as the extension's functions do, and these are hostile, each in its own way.
SET search_path = public, pg_catalog;
DO $$
DECLARE
    condition text;
BEGIN
    FOREACH condition IN ARRAY ARRAY ['1::pg_catalog.oid = 1::pg_catalog.regclass', 'NULL::oid IS NULL',
                                      'NULL::pg_catalog.int4::public.hostile_value IS NULL', 'cardinality(ARRAY [1, 2]) IS NULL'] LOOP
        PERFORM pg_catalog.count(*) FROM pg_catalog.ts_stat('SELECT ''canary''::pg_catalog.tsvector WHERE ' || condition);
    END LOOP;
END $$;
