-- Any source: whatever kind of table, however it is written and changed, the chunks follow or the collection says
-- why it cannot.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE FUNCTION behind(name text) RETURNS TABLE (problem text, found bigint) LANGUAGE sql AS
    'SELECT problem, found FROM rag_verify(name, repair => false) WHERE found > 0';
-- Everything but owners and rights, in a schema of its own.
CREATE SCHEMA source;
SET search_path = source, public;

-- Generated and dropped columns; numbers of columns have gaps.
CREATE TABLE notes (gone int, id int PRIMARY KEY, head text, tail text, more text, gone_too text,
                    body text GENERATED ALWAYS AS (head || ' ' || tail) STORED);
ALTER TABLE notes DROP COLUMN gone, DROP COLUMN gone_too;
INSERT INTO notes (id, head, tail) VALUES (1, 'Cats', 'sleep.'), (2, 'Dogs', 'bark.');
SELECT rag_create_collection('notes', 'notes', 'body', title => 'head');
CALL rag_work();
UPDATE notes SET tail = 'purr.' WHERE id = 1;
UPDATE notes SET more = 'x';
ALTER TABLE notes DROP COLUMN more;
ALTER TABLE notes ADD COLUMN late text DEFAULT 'x';
UPDATE notes SET tail = 'howl.' WHERE id = 2;
SELECT pending FROM rag.status WHERE collection = 'notes';
CALL rag_work();
SELECT id, content FROM notes_chunks ORDER BY id;
SELECT * FROM behind('notes');

-- INSERT ... ON CONFLICT, MERGE, COPY, writable CTEs, UPDATE ... FROM, keys that change places.
INSERT INTO notes (id, head, tail) VALUES (2, 'Wolves', 'hunt.'), (3, 'Birds', 'sing.')
    ON CONFLICT (id) DO UPDATE SET head = EXCLUDED.head, tail = EXCLUDED.tail;
INSERT INTO notes (id, head, tail) VALUES (3, 'Nobody', 'sees this.') ON CONFLICT DO NOTHING;
CALL rag_work();
SELECT id, content FROM notes_chunks ORDER BY id;
MERGE INTO notes n USING (VALUES (1, 'Tigers', 'roar.'), (2, NULL, NULL), (4, 'Fish', 'swim.')) AS v (id, head, tail) ON n.id = v.id
    WHEN MATCHED AND v.head IS NULL THEN DELETE
    WHEN MATCHED THEN UPDATE SET head = v.head, tail = v.tail
    WHEN NOT MATCHED THEN INSERT (id, head, tail) VALUES (v.id, v.head, v.tail);
COPY notes (id, head, tail) FROM stdin;
5	Bees	buzz.
6	Frogs	croak.
\.
WITH moved AS (DELETE FROM notes WHERE id = 3 RETURNING head, tail)
INSERT INTO notes (id, head, tail) SELECT 30, head, tail FROM moved;
CALL rag_work();
SELECT id, content FROM notes_chunks ORDER BY id;
UPDATE notes SET id = id + 100;
CALL rag_work();
SELECT id, content FROM notes_chunks ORDER BY id;
SELECT * FROM behind('notes');

-- A trigger of the source's own that changes texts on their way in, created later.
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.tail := upper(NEW.tail); RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION shout();
UPDATE notes SET late = 'y' WHERE id = 104;
CALL rag_work();
SELECT id, content FROM notes_chunks WHERE id = 104;
SELECT * FROM behind('notes');

-- What would leave the collection behind is refused by PostgreSQL, or pauses the collection.
\set VERBOSITY terse
ALTER TABLE notes ALTER COLUMN id TYPE bigint;
ALTER TABLE notes ALTER COLUMN head TYPE varchar;
ALTER TABLE notes DROP COLUMN tail CASCADE;
SELECT content_column, title_column, paused FROM rag.collection WHERE name = 'notes';
\set VERBOSITY default
CALL rag_work('notes');
SELECT rag_drop_collection('notes');
-- Without its primary key a collection stands still, and goes on when it is back.
CREATE TABLE keyless (id int PRIMARY KEY, body text);
INSERT INTO keyless VALUES (1, 'One.');
SELECT rag_create_collection('keyless', 'keyless', 'body');
CALL rag_work();
ALTER TABLE keyless DROP CONSTRAINT keyless_pkey;
INSERT INTO keyless VALUES (2, 'Two.');
SELECT paused FROM rag.status WHERE collection = 'keyless';
SELECT * FROM rag_verify('keyless');
ALTER TABLE keyless ADD PRIMARY KEY (id);
SELECT rag_retry('keyless');
CALL rag_work();
SELECT id, content FROM keyless_chunks ORDER BY id;
SELECT * FROM behind('keyless');
-- An unlogged table will do.
ALTER TABLE keyless SET UNLOGGED;
UPDATE keyless SET body = 'Unlogged.' WHERE id = 1;
CALL rag_work();
SELECT id, content FROM keyless_chunks ORDER BY id;

-- Partitions of partitions, a default one, rows that move, keys numbered differently in each.
CREATE TABLE parts (id int, region text, body text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE parts_a (body text, junk int, region text NOT NULL, id int NOT NULL, PRIMARY KEY (region, id));
ALTER TABLE parts_a DROP COLUMN junk;
ALTER TABLE parts ATTACH PARTITION parts_a FOR VALUES IN ('a');
SELECT rag_create_collection('parts', 'parts', 'body');
CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b', 'c') PARTITION BY RANGE (id);
CREATE TABLE parts_b_low PARTITION OF parts_b FOR VALUES FROM (1) TO (100);
CREATE TABLE parts_b_rest PARTITION OF parts_b DEFAULT;
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
INSERT INTO parts VALUES (1, 'a', 'One.'), (2, 'b', 'Two.'), (300, 'b', 'Three hundred.'), (4, 'z', 'Four.');
INSERT INTO parts_b VALUES (5, 'c', 'Five.');
INSERT INTO parts_b_low VALUES (6, 'c', 'Six.');
CALL rag_work();
SELECT region, id, content FROM parts_chunks ORDER BY id;
UPDATE parts SET region = 'b' WHERE id = 1;
UPDATE parts_b SET id = 200 WHERE id = 2;
UPDATE parts SET region = 'a' WHERE id = 4;
DELETE FROM parts_b WHERE id = 6;
CALL rag_work();
SELECT region, id, content FROM parts_chunks ORDER BY id;
-- A partition exchanged for another with the same keys and other texts, in one transaction.
CREATE TABLE parts_new (LIKE parts_b_low INCLUDING ALL);
INSERT INTO parts_new (id, region, body) VALUES (1, 'b', 'One, from elsewhere.'), (5, 'c', 'Five.');
BEGIN;
ALTER TABLE parts_b DETACH PARTITION parts_b_low;
ALTER TABLE parts_b ATTACH PARTITION parts_new FOR VALUES FROM (1) TO (100);
COMMIT;
-- A whole subtree, taken out and put back.
ALTER TABLE parts DETACH PARTITION parts_b;
CALL rag_work();
SELECT region, id, content FROM parts_chunks ORDER BY id;
INSERT INTO parts_new VALUES (7, 'b', 'Seven.');
ALTER TABLE parts ATTACH PARTITION parts_b FOR VALUES IN ('b', 'c');
CALL rag_work();
SELECT region, id, content FROM parts_chunks ORDER BY id;
SELECT * FROM behind('parts');
ALTER TABLE parts RENAME COLUMN body TO words;
ALTER TABLE parts RENAME TO pieces;
ALTER TABLE parts_new RENAME TO pieces_new;
UPDATE pieces_new SET words = 'Seven, again.' WHERE id = 7;
CALL rag_work();
SELECT region, id, content FROM parts_chunks WHERE id = 7;
DROP TABLE parts_b;
CALL rag_work();
SELECT count(*) FROM parts_chunks;
SELECT * FROM behind('parts');

-- Inheritance: a statement that names one table tells nothing of the other's rows.
CREATE TABLE parent (id int PRIMARY KEY, body text);
SELECT rag_create_collection('parent', 'parent', 'body');
CREATE TABLE child () INHERITS (parent);
SELECT paused FROM rag.collection WHERE name = 'parent';
SELECT rag_create_collection('again', 'parent', 'body');
ALTER TABLE child ADD PRIMARY KEY (id);
SELECT rag_create_collection('child', 'child', 'body');
DROP TABLE child;
SELECT rag_retry('parent');
SELECT paused FROM rag.collection WHERE name = 'parent';

-- What cannot be a source says so.
CREATE VIEW seen AS SELECT id, body FROM keyless;
CREATE MATERIALIZED VIEW kept AS SELECT id, body FROM keyless;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE afar (id int, body text) SERVER nowhere;
CREATE TEMP TABLE brief (id int PRIMARY KEY, body text);
CREATE SEQUENCE numbers;
SELECT rag_create_collection('x', 'seen', 'body');
SELECT rag_create_collection('x', 'kept', 'body');
SELECT rag_create_collection('x', 'afar', 'body');
SELECT rag_create_collection('x', 'brief', 'body');
SELECT rag_create_collection('x', 'numbers', 'body');
SELECT rag_create_collection('x', 'parts_rest', 'words');
SELECT rag_create_collection('x', 'pg_catalog.pg_description', 'description');

-- Owners that change, and go.
RESET search_path;
CREATE ROLE regress_source_a; CREATE ROLE regress_source_b;
GRANT CREATE, USAGE ON SCHEMA source TO regress_source_a, regress_source_b;
SET ROLE regress_source_a;
CREATE TABLE source.owned (id int PRIMARY KEY, body text);
INSERT INTO source.owned VALUES (1, 'Mine.');
SELECT rag_create_collection('owned', 'source.owned', 'body');
RESET ROLE;
REASSIGN OWNED BY regress_source_a TO regress_source_b;
SELECT * FROM behind('owned');
INSERT INTO source.owned VALUES (2, 'Theirs.');
CALL rag_work();
SELECT id, content FROM source.owned_chunks ORDER BY id;
SELECT DISTINCT r.relowner::regrole FROM rag.collection c JOIN rag.generation g USING (collection_id)
  JOIN pg_class r ON r.oid IN (g.documents, g.chunks, g.bits, c.view) WHERE c.name = 'owned';
DROP OWNED BY regress_source_b;
SELECT count(*) FROM rag.collection WHERE name = 'owned';
DROP OWNED BY regress_source_a;
DROP ROLE regress_source_a, regress_source_b;
DROP SCHEMA source CASCADE;
SELECT name FROM rag.collection WHERE source::oid NOT IN (SELECT oid FROM pg_class);
DROP FOREIGN DATA WRAPPER nothing CASCADE;
DROP FUNCTION behind;
