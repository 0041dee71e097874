-- CALL rag_work(): whatever happens to a source, the chunks follow. Every check compares the chunks with
-- what the source says now, so it holds however the changes were batched.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = notice;
-- Documents whose stored state is not that of their source row, either way round.
CREATE FUNCTION differences(source text, key text, content text, chunks text) RETURNS TABLE (what text, of text)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        $q$SELECT 'not indexed', s.%1$I::text FROM %2$s s
            WHERE NULLIF(btrim(s.%3$I), '') IS NOT NULL AND NOT EXISTS (SELECT FROM %4$s c WHERE c.%1$I = s.%1$I)
           UNION ALL
           SELECT 'not of this text', c.%1$I::text FROM %4$s c JOIN %2$s s ON s.%1$I = c.%1$I
            WHERE c.content IS DISTINCT FROM substr(s.%3$I, c.char_start + 1, c.char_end - c.char_start)
           ORDER BY 1, 2$q$,
        key, source, content, chunks);
END $$;
CREATE FUNCTION counts(name text) RETURNS text LANGUAGE sql AS $$
    SELECT format('documents %s, indexed %s, pending %s, in flight %s, dead %s, chunks %s%s', documents, indexed,
                  pending, in_flight, dead, chunks, ', paused: ' || paused)
      FROM rag.status WHERE collection = name
$$;

CREATE TABLE page (id int PRIMARY KEY, title text, body text, views int DEFAULT 0);
INSERT INTO page
SELECT i, 'Page ' || i, format(E'# Part one\n\nPage %s is about tables. It has rows.\n\n# Part two\n\nHere it tells of indexes, %s of them.', i, i)
  FROM generate_series(1, 20) i;
INSERT INTO page VALUES (21, 'empty', ''), (22, 'null', NULL), (23, NULL, E'  \n '), (24, 'controls', E'\x01\x02');
SELECT rag_create_collection('page', 'page', 'body', title => 'title', format => 'markdown');
SELECT documents, chunks, bits FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'page' \gset
SELECT counts('page');
CALL rag_work();
SELECT counts('page');
SELECT * FROM differences('page', 'id', 'body', 'page_chunks');
SELECT ordinal, content, char_start, char_end, metadata FROM page_chunks WHERE id = 3 ORDER BY ordinal;
-- The vector index is there from the end of the first load on.
SELECT amname FROM pg_index i JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = c.relam
 WHERE indrelid = :'chunks'::regclass AND amname <> 'btree';
SELECT loaded_at IS NOT NULL AS is_loaded FROM rag.generation WHERE chunks = :'chunks'::regclass;
-- Nothing to do.
CALL rag_work('page');
-- The stored vector is the one of the title and headings above the chunk, and its text.
SELECT max(c.embedding <=> rag_embed('Page 4' || E'\n' || c.content, purpose => 'document')) < 0.0001 AS same
  FROM page_chunks c WHERE id = 4 AND ordinal = 2;
-- One row of bits per chunk, 48 bytes per token of heading path and chunk.
SELECT count(*), bool_and(octet_length(b.bits) = 48 * (b.heading_tokens + c.token_count)) AS whole
  FROM :bits b JOIN :chunks c USING (chunk_id);

-- An edit at the end leaves the chunks before it alone, with their ids.
SELECT array_agg(chunk_id ORDER BY ordinal) AS before FROM page_chunks WHERE id = 5 \gset
UPDATE page SET body = body || ' And more.' WHERE id = 5;
-- Another column does not count; neither does the same text.
UPDATE page SET views = 1;
UPDATE page SET body = body;
SELECT counts('page');
CALL rag_work();
SELECT counts('page');
SELECT ordinal, chunk_id = ANY (:'before') AS is_kept FROM page_chunks WHERE id = 5 ORDER BY ordinal;
-- An insertion at the start shifts offsets, not chunks.
SELECT array_agg(chunk_id ORDER BY ordinal) AS before FROM page_chunks WHERE id = 6 \gset
UPDATE page SET body = E'# Part zero\n\nThis is new.\n\n' || body WHERE id = 6;
CALL rag_work();
SELECT ordinal, chunk_id = ANY (:'before') AS is_kept, char_start FROM page_chunks WHERE id = 6 ORDER BY ordinal;
-- A title heads every chunk, so all of them change.
SELECT array_agg(chunk_id ORDER BY ordinal) AS before FROM page_chunks WHERE id = 7 \gset
UPDATE page SET title = 'Renamed' WHERE id = 7;
CALL rag_work();
SELECT ordinal, chunk_id = ANY (:'before') AS is_kept, metadata FROM page_chunks WHERE id = 7 ORDER BY ordinal;
-- Everything at once, and the same document several times.
BEGIN;
DELETE FROM page WHERE id = 8;
INSERT INTO page VALUES (8, 'Again', 'Eight came back.');
UPDATE page SET id = 100 WHERE id = 9;
DELETE FROM page WHERE id = 10;
UPDATE page SET body = NULL WHERE id = 11;
UPDATE page SET body = 'Was null.' WHERE id = 22;
INSERT INTO page VALUES (101, 'new', 'Brand new.');
UPDATE page SET body = 'Brand new, twice.' WHERE id = 101;
INSERT INTO page VALUES (102, 'gone', 'Gone at once.');
DELETE FROM page WHERE id = 102;
COMMIT;
COPY page (id, title, body) FROM stdin;
200	copied	One sentence.\nAnother one.
201	copied	It's "quoted", {braced}, \\escaped.
\.
BEGIN; DELETE FROM page; ROLLBACK;
CALL rag_work();
SELECT counts('page');
SELECT * FROM differences('page', 'id', 'body', 'page_chunks');
SELECT count(*) AS orphans FROM :chunks c
 WHERE NOT EXISTS (SELECT FROM :documents d WHERE c.chunk_id = ANY (d.chunk_ids));
SELECT (SELECT count(*) FROM :chunks) = (SELECT count(*) FROM :bits) AS bits_of_all,
       (SELECT count(*) FROM :chunks) = (SELECT chunks FROM rag.status WHERE collection = 'page') AS counted,
       (SELECT count(*) FROM :documents) = (SELECT indexed FROM rag.status WHERE collection = 'page') AS documents_counted,
       (SELECT count(*) FROM page) = (SELECT documents FROM rag.status WHERE collection = 'page') AS all_counted;
SELECT count(*) AS left_over FROM rag.job JOIN rag.generation USING (generation_id) WHERE chunks = :'chunks'::regclass;
-- The same text twice in a document is two chunks.
INSERT INTO page VALUES (300, 'twins', E'# A\n\nSame words.\n\n# B\n\nOther words.\n\n# A\n\nSame words.');
CALL rag_work();
SELECT ordinal, content, char_start FROM page_chunks WHERE id = 300 ORDER BY ordinal;
-- TRUNCATE: gone from the view in the same transaction, erased by the next work.
TRUNCATE page;
SELECT count(*) FROM page_chunks;
INSERT INTO page VALUES (1, 'after', 'After the flood.');
CALL rag_work();
SELECT counts('page');
SELECT count(*) FROM :chunks;
SELECT rag_drop_collection('page');
SELECT count(*) AS left_over FROM rag.progress WHERE generation_id NOT IN (SELECT generation_id FROM rag.generation);

-- A source larger than a page of the comparison.
CREATE TABLE many (a int, b int, body text, PRIMARY KEY (a, b));
INSERT INTO many SELECT i % 7, i, NULLIF('Word ' || i % 3, 'Word 0') FROM generate_series(1, 10050) i;
SELECT rag_create_collection('many', 'many', 'body', token_bits => false, index => 'none');
UPDATE many SET body = NULL WHERE b > 60;
CALL rag_work();
SELECT counts('many');
SELECT count(*), count(*) FILTER (WHERE c.content = m.body) AS same
  FROM many m JOIN many_chunks c USING (a, b);
DELETE FROM many WHERE b > 30;
CALL rag_work();
SELECT counts('many');
SELECT rag_drop_collection('many');

-- Keys: uuid, text that looks like arrays, composite with a date, quoted names, and an array.
CREATE SCHEMA "My Schema";
CREATE DOMAIN "My Schema".slug AS text CHECK (VALUE <> '');
CREATE TABLE "My Schema"."Odd ""table""" (
    "the id" uuid, "Slug" "My Schema".slug COLLATE "C", "day" date, tags text[], amount numeric, "at" timestamptz,
    "Body text" varchar, PRIMARY KEY ("the id", "Slug", "day", tags, amount, "at"));
SET datestyle = 'German'; SET timezone = 'Asia/Kolkata';
INSERT INTO "My Schema"."Odd ""table""" VALUES
    ('00000000-0000-0000-0000-000000000001', '{"a",NULL}', '2.1.2026', ARRAY['x,y', NULL, '"'], 1.50, '2.1.2026 03:04:05', 'Cats sleep.'),
    ('00000000-0000-0000-0000-000000000002', E'back\\slash ''quote''', '1.12.2026', '{}', 'NaN', 'infinity', 'Dogs bark.');
SELECT rag_create_collection('odd', '"My Schema"."Odd ""table"""', 'Body text');
CALL rag_work();
SELECT counts('odd');
UPDATE "My Schema"."Odd ""table""" SET "Body text" = 'Dogs bark loudly.' WHERE "Body text" ~ 'Dogs';
INSERT INTO "My Schema"."Odd ""table""" VALUES
    ('00000000-0000-0000-0000-000000000003', 'x', '3.2.2026', '{{a,b},{c,d}}', 0.1, '1.1.2000', 'Birds sing.');
RESET datestyle; RESET timezone;
CALL rag_work();
SELECT counts('odd');
SELECT "Slug", content FROM "My Schema"."odd_chunks" ORDER BY content;
DELETE FROM "My Schema"."Odd ""table""";
CALL rag_work();
SELECT counts('odd');
SELECT rag_drop_collection('odd');

-- Spellings of one key are one document.
CREATE TABLE spelled (id numeric PRIMARY KEY, body text);
INSERT INTO spelled VALUES (1.0, 'One.');
SELECT rag_create_collection('spelled', 'spelled', 'body');
SELECT documents, chunks, bits FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'spelled' \gset
CALL rag_work();
UPDATE spelled SET id = 1.00, body = 'One, again.';
CALL rag_work();
SELECT counts('spelled');
SELECT id, content FROM spelled_chunks;
SELECT count(*) FROM :chunks;
SELECT rag_drop_collection('spelled');

-- Partitions, and moves between them.
CREATE TABLE part (region text, id int, body text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b');
SELECT rag_create_collection('part', 'part', 'body');
INSERT INTO part VALUES ('a', 1, 'First.'), ('b', 2, 'Second.');
INSERT INTO part_b VALUES ('b', 3, 'Third.');
CALL rag_work();
UPDATE part SET region = 'b' WHERE id = 1;
UPDATE part_b SET body = 'Third, changed.' WHERE id = 3;
DELETE FROM part_b WHERE id = 2;
CALL rag_work();
SELECT region, id, content FROM part_chunks ORDER BY id;
TRUNCATE part_b;
CALL rag_work();
SELECT counts('part');
SELECT rag_drop_collection('part');

-- What cannot be indexed is given up, with its reason; the rest goes through.
CREATE TABLE fussy (id int PRIMARY KEY, body text);
INSERT INTO fussy SELECT i, 'Text ' || i FROM generate_series(1, 9) i;
SELECT rag_create_collection('fussy', 'fussy', 'body');
SELECT documents, chunks, bits FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'fussy' \gset
ALTER TABLE :chunks ADD CONSTRAINT fussy CHECK (content OPERATOR(pg_catalog.<>) 'Text 4');
CALL rag_work();
SELECT counts('fussy');
SELECT collection, document_key, failure, substring(reason FROM 'violates.*?:') AS reason, attempts, excerpt FROM rag.dead_job WHERE collection = 'fussy';
-- It comes back when it changes, or when told to.
UPDATE fussy SET body = 'Text four' WHERE id = 4;
CALL rag_work();
SELECT counts('fussy');
UPDATE fussy SET body = 'Text 4' WHERE id = 4;
CALL rag_work();
SELECT rag_retry('fussy');
CALL rag_work();
SELECT id, content FROM fussy_chunks WHERE id = 4;
ALTER TABLE :chunks DROP CONSTRAINT fussy;
SELECT rag_retry('fussy');
CALL rag_work();
SELECT counts('fussy');
SELECT id, content FROM fussy_chunks WHERE id = 4;
-- A model that is not there pauses the collection and costs no document an attempt.
SELECT fingerprint FROM rag.generation WHERE chunks = :'chunks'::regclass \gset
UPDATE rag.generation SET fingerprint = repeat('0', 64) WHERE chunks = :'chunks'::regclass;
UPDATE fussy SET body = body || '.';
CALL rag_work();
SELECT pending, in_flight, dead, paused IS NOT NULL AS is_paused FROM rag.status WHERE collection = 'fussy';
SELECT max(attempts) FROM rag.job JOIN rag.generation USING (generation_id) WHERE chunks = :'chunks'::regclass;
UPDATE rag.generation SET fingerprint = :'fingerprint' WHERE chunks = :'chunks'::regclass;
SELECT rag_retry('fussy');
CALL rag_work();
SELECT counts('fussy');
SELECT rag_drop_collection('fussy');

-- Whose rights.
CREATE ROLE work_owner; CREATE ROLE work_reader;
CREATE SCHEMA work AUTHORIZATION work_owner;
SET ROLE work_owner;
CREATE TABLE work.doc (id int PRIMARY KEY, body text);
ALTER TABLE work.doc ENABLE ROW LEVEL SECURITY; ALTER TABLE work.doc FORCE ROW LEVEL SECURITY;
CREATE POLICY nobody ON work.doc USING (false) WITH CHECK (true);
INSERT INTO work.doc VALUES (1, 'Secret text.');
SELECT rag_create_collection('work', 'work.doc', 'body');
CALL rag_work();
SELECT counts('work');
SET ROLE work_reader;
SELECT count(*) FROM rag.status;
SELECT count(*) FROM rag.dead_job;
\set SHOW_CONTEXT never
CALL rag_work('work');
\echo :LAST_ERROR_SQLSTATE
SELECT rag_retry('work');
\echo :LAST_ERROR_SQLSTATE
CALL rag_work('no such');
\echo :LAST_ERROR_SQLSTATE
CALL rag_work();
RESET ROLE;
BEGIN; CALL rag_work(); ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION calls_work() RETURNS void LANGUAGE plpgsql AS 'BEGIN CALL rag_work(); END';
SELECT calls_work();
\echo :LAST_ERROR_SQLSTATE
DO $$ BEGIN CALL rag_work(); COMMIT; CALL rag_work('work'); END $$;
SET default_transaction_isolation = 'serializable';
INSERT INTO work.doc VALUES (2, 'More.');
CALL rag_work();
SELECT counts('work');
RESET default_transaction_isolation;
SELECT rag_drop_collection('work');
SET client_min_messages = warning;
DROP SCHEMA work CASCADE; DROP ROLE work_owner, work_reader;
DROP TABLE page, many, spelled, part, fussy; DROP SCHEMA "My Schema" CASCADE;
DROP FUNCTION differences, counts, calls_work;
