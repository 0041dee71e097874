-- What is embedded is paid for once: an edit costs the chunks it changes, the same text again costs nothing.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = notice;
CREATE TABLE once (id int PRIMARY KEY, body text, views int DEFAULT 0, shout text GENERATED ALWAYS AS (upper(body)) STORED);
-- A hundred paragraphs of about a chunk each.
CREATE FUNCTION paragraph(n int, words int = 14) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'Paragraph ' || n || ' tells' || string_agg(' of thing ' || n * w, ',' ORDER BY w) || '.' FROM generate_series(1, words) w
$$;
CREATE FUNCTION document(edited int = 0, without int = 0) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(CASE WHEN n = edited THEN 'This one was edited. ' ELSE '' END || paragraph(n), E'\n\n' ORDER BY n)
      FROM generate_series(1, 100) n WHERE n <> without
$$;
INSERT INTO once VALUES (1, document());
SELECT rag_create_collection('once', 'once', 'body', max_tokens => 96, overlap_tokens => 0, format => 'plain');
-- Chunks embedded since the last look, and whether the chunks are those of the text as it is.
CREATE TABLE looked AS SELECT 0::bigint AS embedded;
CREATE FUNCTION paid() RETURNS TABLE (embedded bigint, is_right boolean) LANGUAGE plpgsql AS $$
DECLARE now_embedded bigint; was bigint;
BEGIN
    SELECT p.embedded INTO now_embedded FROM rag.progress p JOIN rag.generation g USING (generation_id) JOIN rag.collection c USING (collection_id) WHERE c.name = 'once';
    SELECT l.embedded INTO was FROM looked l;
    UPDATE looked SET embedded = now_embedded;
    RETURN QUERY SELECT now_embedded - was, NOT EXISTS (
        SELECT FROM (SELECT d.id, k.ordinal, k.content FROM once d CROSS JOIN LATERAL rag_chunk(d.body, 96, 0, 'plain') k) w
          FULL JOIN once_chunks c USING (id, ordinal, content) WHERE w.content IS NULL OR c.chunk_id IS NULL);
END $$;
CALL rag_work();
SELECT embedded BETWEEN 90 AND 110 AS about_a_hundred, is_right FROM paid();
-- Searches read few segments, which have every chunk once.
SELECT segments FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'once' \gset
SELECT count(*) < 32 AS few, sum(CASE WHEN is_deletion THEN -chunks ELSE chunks END) = (SELECT count(*) FROM once_chunks) AS each FROM :segments;
-- A paragraph is edited, removed, put back.
UPDATE once SET body = document(edited => 50);
CALL rag_work();
SELECT embedded BETWEEN 1 AND 3 AS at_most_three, is_right FROM paid();
UPDATE once SET body = document(edited => 50, without => 20);
CALL rag_work();
SELECT embedded <= 3 AS at_most_three, is_right FROM paid();
UPDATE once SET body = document(edited => 50);
CALL rag_work();
SELECT embedded BETWEEN 1 AND 3 AS at_most_three, is_right FROM paid();
-- Another column, the same text, a text that came and went within a transaction.
UPDATE once SET views = 1;
UPDATE once SET body = body;
BEGIN; UPDATE once SET body = 'Short.'; UPDATE once SET body = document(edited => 50); COMMIT;
CALL rag_work();
SELECT * FROM paid();
-- Deleted and inserted again, before anybody looked.
DELETE FROM once; INSERT INTO once VALUES (1, document(edited => 50));
INSERT INTO once VALUES (1, document(edited => 50)) ON CONFLICT (id) DO UPDATE SET body = excluded.body;
MERGE INTO once o USING (VALUES (1)) AS v (id) ON o.id = v.id WHEN MATCHED THEN UPDATE SET body = document(edited => 50);
CALL rag_work();
SELECT * FROM paid();
-- TRUNCATE and the same rows again.
BEGIN; TRUNCATE once; INSERT INTO once VALUES (1, document(edited => 50)); COMMIT;
CALL rag_work();
SELECT * FROM paid();
-- A generated column follows the column it is made of.
SELECT rag_create_collection('shouted', 'once', 'shout', max_tokens => 96, overlap_tokens => 0, format => 'plain', token_bits => false, index => 'none');
CALL rag_work();
UPDATE once SET body = 'A short text.';
CALL rag_work();
SELECT id, content FROM shouted_chunks;
SELECT rag_drop_collection('shouted'), rag_drop_collection('once');
DROP TABLE once, looked;
DROP FUNCTION paid, document, paragraph;
