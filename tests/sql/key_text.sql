-- A key waits in the queue as text. What that text no longer names, or names no more in its type's words, when its turn comes, is
-- nobody's fault: the source is compared, and the row is found under the text that its key has now.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = notice;
CREATE TYPE state AS ENUM ('draft', 'open', 'shut', 'gone');
CREATE TABLE paper (state state, id int, body text, PRIMARY KEY (state, id));
INSERT INTO paper SELECT state, id, format('Paper %s, %s.', id, state)
  FROM unnest(enum_range(NULL::state)) state, generate_series(1, 3) id;
SELECT rag_create_collection('papers', 'paper', 'body', index => 'none');
CALL rag_work();
CREATE VIEW queue AS
SELECT name, j.key, j.is_dead, j.failure, j.reason
  FROM rag.job j JOIN rag.generation USING (generation_id) JOIN rag.collection USING (collection_id) ORDER BY name, j.key;
CREATE VIEW state_of AS
SELECT s.collection, s.documents, s.indexed, s.pending, s.dead, s.paused, EXISTS (SELECT FROM rag.scan) AS is_compared FROM rag.status s ORDER BY 1;
-- Changed, gone and new under a label that is another by the time of the work, among others.
UPDATE paper SET body = body || ' Changed.' WHERE id = 2;
DELETE FROM paper WHERE id = 3;
INSERT INTO paper SELECT state, 4, 'New.' FROM unnest(enum_range(NULL::state)) state;
ALTER TYPE state RENAME VALUE 'draft' TO 'sketch';
CALL rag_work();
SELECT * FROM queue;
SELECT state, id, content FROM papers_chunks ORDER BY state, id;
SELECT * FROM state_of;
SELECT problem, found FROM rag_verify('papers') WHERE found > 0;
-- A comparison that goes on behind a key whose label was renamed begins anew.
UPDATE paper SET body = 'Once more.' WHERE id = 1;
DELETE FROM rag.change;
INSERT INTO rag.scan (generation_id, side, after_key) SELECT generation_id, 'source', '["draft","2"]' FROM rag.generation;
CALL rag_work();
SELECT count(*) FROM papers_chunks WHERE content = 'Once more.';
SELECT * FROM state_of;
-- Labels that change places: the text of each names the other's row.
UPDATE paper SET body = 'Swapped.' WHERE state = 'open' AND id = 1;
ALTER TYPE state RENAME VALUE 'shut' TO 'kept';
ALTER TYPE state RENAME VALUE 'open' TO 'shut';
ALTER TYPE state RENAME VALUE 'kept' TO 'open';
CALL rag_work();
SELECT state, content FROM papers_chunks WHERE content = 'Swapped.';
SELECT problem, found FROM rag_verify('papers') WHERE found > 0;
-- The name of a table, which fails as a missing table does.
CREATE TABLE named (relation pg_catalog.regclass PRIMARY KEY, body text);
CREATE TABLE old_name ();
INSERT INTO named VALUES ('old_name', 'A table.'), ('paper', 'Another.');
SELECT rag_create_collection('names', 'named', 'body', index => 'none');
CALL rag_work();
UPDATE named SET body = 'A table, changed.' WHERE relation = 'old_name'::regclass;
ALTER TABLE old_name RENAME TO new_name;
CALL rag_work();
SELECT relation, content FROM names_chunks ORDER BY content;
SELECT * FROM queue;
-- Nor does the path of the session that changes a document say which table is meant.
CREATE TABLE public.pg_am ();
INSERT INTO named VALUES ('public.pg_am', 'Ours.'), ('pg_catalog.pg_am', 'PostgreSQL''s.');
CALL rag_work();
SET search_path = public, pg_catalog;
UPDATE named SET body = 'Ours, changed.' WHERE relation = 'pg_am'::pg_catalog.regclass;
RESET search_path;
CALL rag_work();
SELECT content FROM names_chunks ORDER BY content;
-- A key that its own type refuses, because a constraint came later, can never be read: that is given up, and the comparison finds
-- nothing else. A row of such a key that is gone leaves nothing behind but its chunks, until its type takes it again.
CREATE DOMAIN word AS text;
CREATE TABLE worded (word word PRIMARY KEY, body text);
INSERT INTO worded VALUES ('a', 'Word a.'), ('b', 'Word b.'), ('b b', 'Words.'), ('c c', 'Words, gone.');
SELECT rag_create_collection('words', 'worded', 'body', index => 'none');
CALL rag_work();
UPDATE worded SET body = body || ' Changed.';
ALTER DOMAIN word ADD CONSTRAINT single CHECK (VALUE !~ ' ') NOT VALID;
DELETE FROM worded WHERE word = 'c c';
CALL rag_work();
SELECT * FROM queue;
SELECT word::text, content FROM words_chunks ORDER BY 1;
SELECT * FROM state_of;
ALTER DOMAIN word DROP CONSTRAINT single;
SELECT rag_retry('words');
CALL rag_work();
SELECT word::text, content FROM words_chunks ORDER BY 1;
SELECT count(*) FROM queue;
-- A row of the queue has a thousand keys at most, and fewer where these are long: about a megabyte.
CREATE TABLE long (key text PRIMARY KEY, body text);
SELECT rag_create_collection('long', 'long', 'body', index => 'none');
DELETE FROM rag.change;
INSERT INTO long SELECT repeat('key ', 2500) || i, 'A text.' FROM generate_series(1, 250) i;
SELECT cardinality(keys), octet_length(keys::text) BETWEEN 1048576 AND 1100000 AS is_full FROM rag.change ORDER BY change_id;
DELETE FROM rag.change;
INSERT INTO long SELECT i, 'A text.' FROM generate_series(1, 2500) i;
SELECT cardinality(keys) FROM rag.change ORDER BY change_id;
DROP VIEW queue, state_of;
SELECT rag_drop_collection(name) FROM rag.collection ORDER BY name;
DROP TABLE paper, named, worded, new_name, long, public.pg_am;
DROP TYPE state;
DROP DOMAIN word;
