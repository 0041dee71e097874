-- A generation in a storage format that the library does not read is refused with what to do, and keeps no other waiting.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = notice;
CREATE SCHEMA formats;
SET search_path = formats, public;
CREATE TABLE notes (id int PRIMARY KEY, body text);
INSERT INTO notes VALUES (1, 'The first note.'), (2, 'The second note.');
SELECT rag_create_collection('formats', 'notes', 'body');
CALL rag_work('formats');
SELECT count(*) FROM rag_search('formats', 'note');
-- As an older library would have left it.
UPDATE rag.generation g SET storage_format = 1, segments = NULL, postings = NULL FROM rag.collection c WHERE c.name = 'formats' AND c.collection_id = g.collection_id;
CREATE FUNCTION said(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; hint text;
BEGIN
    EXECUTE sql;
    RETURN 'none';
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN regexp_replace(message, 'generation \d+', 'generation N') || ' ' || hint;
END $$;
SELECT said($$SELECT * FROM rag_search('formats', 'note')$$);
SELECT said($$SELECT * FROM rag_explain('formats', 'note')$$);
SELECT said($$SELECT * FROM rag_answer('formats', 'note?')$$);
-- Ingestion into it pauses with the reason. Messages name the generation by its number.
SET client_min_messages = error;
INSERT INTO notes VALUES (3, 'The third note.');
CALL rag_work('formats');
SELECT regexp_replace(g.paused, 'generation \d+', 'generation N') AS paused FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = 'formats';
-- The way out; nothing is taken over from the old tables.
SELECT rag_rebuild('formats') > 0 AS rebuilt;
CALL rag_work('formats');
SELECT rag_switch('formats') > 0 AS switched;
SELECT count(*) FROM rag_search('formats', 'note');
SELECT state, storage_format FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = 'formats' ORDER BY state;
-- It cannot be gone back to.
SELECT said($$SELECT rag_rollback('formats')$$);
SELECT rag_drop_collection('formats');
DROP SCHEMA formats CASCADE;
