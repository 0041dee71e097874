-- What scripts/test.sh plants before the regression tests run: hostile objects in schema public and in one that is named
-- like the superuser, before those of pg_catalog for everybody who connects.
\set schema public
\set existing true
\ir hostile.sql
SELECT current_user AS schema \gset
\ir hostile.sql
\ir watch.sql
SELECT format('ALTER DATABASE %I SET search_path = public, "$user", pg_catalog', current_database()) \gexec
-- PostgreSQL's own ts_stat runs a statement as the extension's functions do, and this one is hostile.
SET search_path = public, pg_catalog;
DO $$ BEGIN PERFORM pg_catalog.count(*) FROM pg_catalog.ts_stat('SELECT ''canary''::pg_catalog.tsvector WHERE 1::pg_catalog.oid = 1::pg_catalog.regclass'); END $$;
