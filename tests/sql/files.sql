-- Collections over files: extracted, divided and indexed by page. The program is a stand-in: see tests/extract/stand_in.pl.
CREATE TABLE papers (id int PRIMARY KEY, name text, kind text, title text, data pg_catalog.bytea);
INSERT INTO papers VALUES
  (1, 'savepoint.txt', NULL, 'Transactions', convert_to(E'# Savepoints\n\nA savepoint marks a place inside a transaction. ROLLBACK TO SAVEPOINT undoes all that came\fafter it. A transaction can have many savepoints.\f# Vacuum\n\nVACUUM reclaims storage occupied by dead tuples.', 'UTF8')),
  (2, 'prices.csv', 'text/csv', NULL, convert_to(E'{"sheet": "Fruit"}\n| fruit | price |\n|---|---|\n| apple | 3 |\n| pear | 4 |\f{"sheet": "Vegetables"}\n| vegetable | price |\n|---|---|\n| leek | 5 |', 'UTF8')),
  (3, 'scan.pdf', NULL, NULL, '%no_text'),
  (4, 'broken.pdf', NULL, NULL, '%damaged the xref table is missing'),
  (5, 'odd.exe', NULL, NULL, '%unsupported the format is not known'),
  (6, NULL, NULL, NULL, NULL),
  (7, 'empty', NULL, NULL, '');
SELECT rag_create_collection('papers', 'papers', 'data', title => 'title', file_name => 'name', media_type => 'kind', index => 'none');
CALL rag_work('papers');
SELECT documents, indexed, pending, dead, chunks, pages, page_rate > 0 AS has_rate, paused FROM rag.status WHERE collection = 'papers';
SELECT document_key, failure, reason, excerpt FROM rag.dead_job WHERE collection = 'papers' ORDER BY document_key::text;
SELECT id, ordinal, content, char_start, char_end, metadata FROM papers_chunks ORDER BY id, ordinal;
SELECT document_key, metadata - 'char_start' - 'char_end' AS metadata FROM rag_search('papers', 'undo part of a transaction', top_k => 1);
SELECT citations -> 0 ->> 'page' AS page, citations -> 0 ->> 'page_end' AS page_end FROM rag_answer('papers', 'What does VACUUM reclaim?');
SELECT document_key, metadata ->> 'sheet' AS sheet FROM rag_search('papers', 'leek', top_k => 1);

-- Chunks are pieces of the text that is kept.
SELECT d.pages, d.metadata, d.parts FROM rag_document('papers', '[1]') d;
SELECT bool_and(c.content = substr(d.content, c.char_start + 1, c.char_end - c.char_start))
  FROM papers_chunks c, LATERAL rag_document('papers', pg_catalog.jsonb_build_object('id', c.id)) d;
SELECT content IS NULL, metadata FROM rag_document('papers', '["6"]');
SELECT count(*) FROM rag_document('papers', '[99]');

-- The page of a quote is its own, not that of its chunk.
SELECT c ->> 'quote' AS quote, c -> 'page' AS page, c -> 'page_end' AS page_end
  FROM rag_answer('papers', 'How many savepoints can a transaction have?') a, jsonb_array_elements(a.citations) c;
SELECT metadata - 'char_start' - 'char_end' AS metadata FROM rag_search('papers', 'many savepoints', top_k => 1);

-- An edit embeds what changed, and a file that has become whole is indexed.
UPDATE papers SET data = convert_to(replace(convert_from(data, 'UTF8'), 'can have many', 'can have several'), 'UTF8') WHERE id = 1;
UPDATE papers SET data = 'It was mended.' WHERE id = 4;
CREATE TEMP TABLE before AS SELECT embedded, pages FROM rag.generation_status WHERE collection = 'papers';
CALL rag_work('papers');
SELECT s.embedded - b.embedded AS embedded, s.pages - b.pages AS pages, s.dead FROM rag.generation_status s, before b WHERE collection = 'papers';
-- The name of a file may decide what it is.
UPDATE papers SET name = 'other.txt' WHERE id = 4;
UPDATE papers SET data = data, kind = kind;
SELECT pending FROM rag.status WHERE collection = 'papers';
CALL rag_work('papers');
-- Its title does not.
UPDATE papers SET title = 'Kinds of transactions' WHERE id = 1;
TRUNCATE before;
INSERT INTO before SELECT embedded, pages FROM rag.generation_status WHERE collection = 'papers';
CALL rag_work('papers');
SELECT s.embedded - b.embedded AS embedded, s.pages - b.pages AS pages FROM rag.generation_status s, before b WHERE collection = 'papers';

-- A rebuild divides the kept texts, and extracts nothing.
SET rag_pg.extract_program = '/nowhere/rag-extract';
SELECT documents, chunks > 2 AS has_chunks FROM rag_estimate('papers', max_tokens => 30);
SET client_min_messages = warning;
SELECT rag_rebuild('papers', max_tokens => 30) > 0;
RESET client_min_messages;
CALL rag_work('papers');
SELECT state, indexed, chunks, pages, dead, paused FROM rag.generation_status WHERE collection = 'papers' ORDER BY generation;
RESET rag_pg.extract_program;
SELECT rag_resume('papers');
CALL rag_work('papers');
SELECT state, indexed, chunks, pages, dead, paused FROM rag.generation_status WHERE collection = 'papers' ORDER BY generation;
SELECT rag_switch('papers') > 0;
SELECT id, ordinal, content, metadata FROM papers_chunks WHERE id <= 2 ORDER BY id, ordinal;

-- Verifying.
SELECT problem, found, action FROM rag_verify('papers') WHERE found > 0;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE papers SET data = 'Unseen.' WHERE id = 4;
COMMIT;
SELECT problem, found, action FROM rag_verify('papers') WHERE found > 0;
CALL rag_work('papers');
SELECT content FROM papers_chunks WHERE id = 4;

-- Following columns, and what is not for texts.
ALTER TABLE papers RENAME COLUMN name TO file_name;
INSERT INTO papers VALUES (8, 'new.txt', NULL, NULL, 'Added later.');
CALL rag_work('papers');
SELECT content FROM papers_chunks WHERE id = 8;
SELECT name, content_kind, file_name_column, media_type_column, keep_text, ocr FROM rag.collection WHERE name = 'papers';
SELECT rag_create_collection('x', 'papers', 'title', ocr => true);
SELECT rag_create_collection('x', 'papers', 'id');
SELECT rag_create_collection('x', 'papers', 'data', format => 'exe');
SELECT rag_create_collection('x', 'papers', 'data', file_name => 'data');
SELECT rag_create_collection('x', 'papers', 'data', large_objects => true);

-- A larger file is given up before it is read.
SET rag_pg.max_file_size = '1kB';
UPDATE papers SET data = repeat('x', 2000)::bytea WHERE id = 8;
CALL rag_work('papers');
RESET rag_pg.max_file_size;
SELECT DISTINCT document_key, reason FROM rag.dead_job WHERE collection = 'papers' AND document_key = '["8"]';
SELECT rag_drop_collection('papers');

-- Without the text, chunks have their pages all the same. Pictures of text are recognized.
SET rag_pg.ocr_program = '/bin/printf recognized\ftext';
SELECT rag_create_collection('papers', 'papers', 'data', keep_text => false, ocr => true, index => 'none', token_bits => false);
CALL rag_work('papers');
RESET rag_pg.ocr_program;
SELECT ordinal, content, metadata FROM papers_chunks WHERE id IN (2, 3) ORDER BY id, ordinal;
SELECT content IS NULL, pages FROM rag_document('papers', '[2]');
SELECT documents, chunks > 2 AS has_chunks FROM rag_estimate('papers', max_tokens => 30);
SELECT rag_drop_collection('papers');

-- Large objects.
CREATE TABLE objects (id int PRIMARY KEY, file pg_catalog.oid);
INSERT INTO objects VALUES (1, lo_from_bytea(0, 'An object of one page.')), (2, 1), (3, NULL);
SELECT rag_create_collection('objects', 'objects', 'file');
SELECT rag_create_collection('objects', 'objects', 'file', large_objects => true, index => 'none');
CALL rag_work('objects');
SELECT id, content, metadata FROM objects_chunks ORDER BY id;
SELECT documents, indexed, dead, paused FROM rag.status WHERE collection = 'objects';
UPDATE objects SET file = lo_from_bytea(0, 'Another object.') WHERE id = 2;
CALL rag_work('objects');
SELECT id, content FROM objects_chunks ORDER BY id;
SELECT problem, found FROM rag_verify('objects') WHERE found > 0;
SELECT rag_drop_collection('objects');

-- A partitioned source: an update of another column does not look at the files.
CREATE TABLE parts (id int PRIMARY KEY, note text, data pg_catalog.bytea) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
INSERT INTO parts VALUES (1, 'a', 'In a partition.');
SELECT rag_create_collection('parts', 'parts', 'data', index => 'none');
CALL rag_work('parts');
UPDATE parts SET note = 'b';
SELECT pending FROM rag.status WHERE collection = 'parts';
SELECT content, metadata FROM parts_chunks;
SELECT rag_drop_collection('parts');

-- A reader sees the text of the files it may see.
CREATE ROLE regress_reader;
GRANT SELECT ON papers TO regress_reader;
ALTER TABLE papers ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON papers USING (id = 1);
SELECT rag_create_collection('papers', 'papers', 'data', index => 'none');
CALL rag_work('papers');
SELECT rag_grant('papers', 'regress_reader');
SET ROLE regress_reader;
SELECT content IS NOT NULL FROM rag_document('papers', '[1]');
SELECT count(*) FROM rag_document('papers', '[2]');
SELECT count(*) FROM papers_chunks WHERE id <> 1;
RESET ROLE;
SELECT rag_drop_collection('papers');
DROP TABLE papers, objects, parts;
DROP ROLE regress_reader;
