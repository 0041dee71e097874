-- Tables of a generation are their owner's to alter, and then no search, worker or check runs what the owner wrote there: a
-- search fails before it, ingestion into the generation pauses with the reason, and goes on once the change is undone.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = notice;
SELECT current_setting('server_version_num')::int < 160000 AS is_15, current_user AS me \gset
CREATE ROLE regress_rag_ann LOGIN; CREATE ROLE regress_rag_tenant;
CREATE SCHEMA ann AUTHORIZATION regress_rag_ann;
CREATE TABLE ran (what text, by name DEFAULT current_user);
GRANT ALL ON ran TO PUBLIC;
-- What a superuser and a role under policies get: the SQLSTATE, or how many chunks.
CREATE FUNCTION got(sql text) RETURNS text LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE n bigint;
BEGIN
    EXECUTE 'SELECT count(*) FROM ' || sql INTO n;
    RETURN n;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
CREATE PROCEDURE look(what text) LANGUAGE plpgsql AS $$
DECLARE detail text; asked text;
BEGIN
    BEGIN
        PERFORM count(*) FROM rag_search('notes', 'first');
    EXCEPTION WHEN object_not_in_prerequisite_state THEN GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    END;
    SET ROLE regress_rag_tenant;
    asked := got($q$rag_search('notes', 'first')$q$);
    RESET ROLE;
    RAISE NOTICE '%: % superuser % tenant % explain % recall % maintain % verify %', what, detail, got($q$rag_search('notes', 'first')$q$), asked,
        got($q$rag_explain('notes', 'first')$q$), got($q$rag_recall('notes')$q$), got($q$rag_maintain('notes')$q$), got($q$rag_verify('notes', false)$q$);
END $$;
\c - regress_rag_ann
CREATE FUNCTION ann.run(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF session_user <> 'regress_rag_ann' AND current_setting('ann.alters', true) IS DISTINCT FROM 'on' THEN INSERT INTO public.ran VALUES (what); END IF;
    RETURN true;
END $$;
CREATE FUNCTION ann.fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM ann.run('trigger'); RETURN NEW; END $$;
CREATE TABLE ann.notes (id int PRIMARY KEY, body text);
INSERT INTO ann.notes VALUES (1, 'The first note.'), (2, 'The second note.');
SELECT rag_create_collection('notes', 'ann.notes', 'body');
GRANT USAGE ON SCHEMA ann TO regress_rag_tenant; GRANT SELECT ON ann.notes TO regress_rag_tenant;
SELECT rag_grant('notes', 'regress_rag_tenant');
SELECT documents, chunks, bits FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'notes' \gset
\c - :me
CALL rag_work();
CALL look('as it was');
-- Each change by its owner, with a change of the source: what is said, and that it goes on afterwards.
CREATE TABLE step (n int GENERATED ALWAYS AS IDENTITY, change text, undo text);
INSERT INTO step (change, undo) SELECT replace(replace(change, 'CHUNKS', :'chunks'), 'BITS', :'bits'), replace(replace(undo, 'CHUNKS', :'chunks'), 'BITS', :'bits') FROM (VALUES
    ('CREATE TRIGGER t BEFORE INSERT ON CHUNKS FOR EACH ROW EXECUTE FUNCTION ann.fired()', 'DROP TRIGGER t ON CHUNKS'),
    ('CREATE RULE r AS ON INSERT TO CHUNKS DO ALSO SELECT ann.run(''rule'')', 'DROP RULE r ON CHUNKS'),
    ('CREATE TABLE ann.child () INHERITS (CHUNKS)', 'DROP TABLE ann.child'),
    ('CREATE INDEX i ON CHUNKS ((ann.run(''index'')))', 'DROP INDEX ann.i'),
    ('CREATE INDEX i ON CHUNKS (chunk_id) WHERE ann.run(''predicate'')', 'DROP INDEX ann.i'),
    ('ALTER TABLE CHUNKS ADD CONSTRAINT c CHECK (ann.run(''check''))', 'ALTER TABLE CHUNKS DROP CONSTRAINT c'),
    ('CREATE STATISTICS ann.s ON (ann.run(content)) FROM CHUNKS', 'DROP STATISTICS ann.s'),
    ('ALTER TABLE BITS ALTER heading_tokens TYPE bigint', 'ALTER TABLE BITS ALTER heading_tokens TYPE int'),
    ('ALTER TABLE CHUNKS RENAME section TO part', 'ALTER TABLE CHUNKS RENAME part TO section'),
    ('ALTER TABLE CHUNKS SET UNLOGGED', 'ALTER TABLE CHUNKS SET LOGGED'),
    ('CREATE POLICY p ON CHUNKS USING (ann.run(''policy''))', 'DROP POLICY p ON CHUNKS'),
    ('ALTER POLICY source_visible ON CHUNKS USING (true)', NULL),
    ('ALTER TABLE CHUNKS DISABLE ROW LEVEL SECURITY', NULL),
    -- No code of anybody's.
    ('CREATE INDEX i ON CHUNKS (pg_catalog.lower(section)) WHERE token_count OPERATOR(pg_catalog.>) 3', 'DROP INDEX ann.i'),
    ('ALTER TABLE CHUNKS ADD extra int DEFAULT 5', 'ALTER TABLE CHUNKS DROP extra')) AS s (change, undo);
CREATE PROCEDURE as_ann(sql text) LANGUAGE plpgsql AS $$ BEGIN SET LOCAL ROLE regress_rag_ann; SET ann.alters = on; EXECUTE sql; RESET ann.alters; RESET ROLE; END $$;
CREATE VIEW state AS SELECT regexp_replace(paused, '_g\d+_', '_gN_') AS paused, pending FROM rag.status WHERE collection = 'notes';
\pset tuples_only on
\pset format unaligned
SET client_min_messages = notice;
\set VERBOSITY terse
\set ECHO none
SELECT format('CALL as_ann(%L)', change), 'UPDATE ann.notes SET body = body || ''.'' WHERE id = 1',
       format('CALL look(%L)', regexp_replace(change, '\y\w+\.\w+_g\d+_', '')),
       'SET client_min_messages = error', 'CALL rag_work()', 'SELECT paused FROM state', 'SET client_min_messages = notice',
       COALESCE('CALL as_ann(' || quote_literal(undo) || ')', 'SELECT problem, found, action FROM rag_verify(''notes'') WHERE problem ~ ''policy'''),
       'SELECT rag_retry(''notes'') >= 0 AS again', 'CALL rag_work()', 'SELECT paused, pending FROM state'
  FROM step ORDER BY n \gexec
\set ECHO all
SELECT * FROM ran;
-- In PostgreSQL 15 a rule can make a view of an empty table.
\c - regress_rag_ann
DELETE FROM :bits;
ALTER TABLE :bits DISABLE ROW LEVEL SECURITY;
DROP POLICY source_visible ON :bits;
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS statement FROM pg_constraint WHERE conrelid = :'bits'::regclass AND contype = 'p' \gset
:statement;
VACUUM :bits;
SELECT CASE WHEN :'is_15'::boolean
            THEN format('CREATE RULE "_RETURN" AS ON SELECT TO %s DO INSTEAD SELECT 1::bigint AS chunk_id, 1 AS heading_tokens, CASE WHEN ann.run(''view'') THEN ''''::bytea END AS bits', :'bits')
            ELSE format('CREATE RULE r AS ON INSERT TO %s DO ALSO SELECT ann.run(''view'')', :'bits') END AS statement \gset
:statement;
\c - :me
\set VERBOSITY sqlstate
SELECT count(*) FROM rag_search('notes', 'first');
SELECT count(*) FROM rag_verify('notes');
\set VERBOSITY default
UPDATE ann.notes SET body = 'The first note, changed.' WHERE id = 1;
SET client_min_messages = error;
CALL rag_work();
SELECT paused IS NOT NULL FROM state;
-- New tables in place of those: ingestion into these goes on, and searches run on them.
SELECT rag_rebuild('notes', max_tokens => 100, switch => true) > 0;
CALL rag_work();
SELECT content FROM rag_search('notes', 'first', top_k => 1);
SELECT * FROM state;
SELECT rag_prune('notes');
SELECT content FROM rag_search('notes', 'first', top_k => 1);
SELECT * FROM ran;
-- Nor is any of it in the way when all of it is dropped.
SELECT rag_drop_collection('notes');
SELECT count(*) FROM pg_class WHERE relnamespace = 'ann'::regnamespace AND relname ~ '_g\d+_';
DROP SCHEMA ann CASCADE;
DROP VIEW state;
DROP TABLE ran, step CASCADE;
DROP PROCEDURE look, as_ann;
DROP FUNCTION got;
DROP ROLE regress_rag_ann, regress_rag_tenant;
