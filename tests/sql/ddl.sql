-- Changes to a source's definition: collections follow, go along, or say why they stand still.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = warning;
CREATE TABLE ddl (id int PRIMARY KEY, junk int, title text, body text, extra text);
ALTER TABLE ddl DROP COLUMN junk;
SELECT rag_create_collection('ddl', 'ddl', 'body', title => 'title');
DELETE FROM rag.change;
-- Names.
ALTER TABLE ddl RENAME COLUMN body TO "the body";
ALTER TABLE ddl RENAME COLUMN title TO headline;
ALTER TABLE ddl RENAME COLUMN id TO number;
ALTER TABLE ddl RENAME TO renamed;
CREATE SCHEMA ddl_schema;
ALTER TABLE renamed SET SCHEMA ddl_schema;
SELECT source, content_column, title_column, key_columns, paused FROM rag.collection WHERE name = 'ddl';
INSERT INTO ddl_schema.renamed VALUES (1, 'a', 'b', 'c');
UPDATE ddl_schema.renamed SET "the body" = 'd';
UPDATE ddl_schema.renamed SET extra = 'd';
SELECT keys FROM rag.change ORDER BY change_id;
DELETE FROM rag.change;
ALTER VIEW ddl_chunks RENAME TO my_chunks;
SELECT view FROM rag.collection WHERE name = 'ddl';
-- Owner.
CREATE ROLE regress_rag_new;
GRANT CREATE, USAGE ON SCHEMA ddl_schema TO regress_rag_new;
ALTER TABLE ddl_schema.renamed OWNER TO regress_rag_new;
SELECT regexp_replace(relname, '[0-9]+', 'N') AS relation, relowner::regrole FROM pg_class
 WHERE relname ~ '^ddl_g[0-9]+_(documents|chunks|token_bits)$' OR relname = 'my_chunks' ORDER BY 1;
-- Columns and keys that go.
ALTER TABLE ddl_schema.renamed DROP COLUMN extra;
SELECT paused FROM rag.collection WHERE name = 'ddl';
BEGIN;
ALTER TABLE ddl_schema.renamed DROP CONSTRAINT ddl_pkey;
SELECT paused FROM rag.collection WHERE name = 'ddl';
ROLLBACK;
\set VERBOSITY terse
ALTER TABLE ddl_schema.renamed DROP COLUMN "the body";
ALTER TABLE ddl_schema.renamed DROP COLUMN "the body" CASCADE;
SELECT paused FROM rag.collection WHERE name = 'ddl';
SELECT rag_drop_collection('ddl');
-- A source that goes takes its collection along, with whatever way it goes.
CREATE TABLE brief (id int PRIMARY KEY, body text);
SELECT rag_create_collection('brief', 'brief', 'body');
SET client_min_messages = notice;
DROP TABLE brief;
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA brief_schema;
CREATE TABLE brief_schema.brief (id int PRIMARY KEY, body text);
SELECT rag_create_collection('brief', 'brief_schema.brief', 'body');
DROP SCHEMA brief_schema CASCADE;
SELECT count(*) FROM rag.collection;
SELECT count(*) FROM rag.generation;
SELECT relname FROM pg_class WHERE relname LIKE 'brief%';
-- Partitions come and go.
CREATE TABLE parts (id int, region text, body text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
SELECT rag_create_collection('parts', 'parts', 'body');
DELETE FROM rag.change;
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
CREATE TABLE parts_b (id int NOT NULL, region text NOT NULL, body text, PRIMARY KEY (region, id));
INSERT INTO parts_b VALUES (1, 'b', 'x');
ALTER TABLE parts ATTACH PARTITION parts_b FOR VALUES IN ('b');
INSERT INTO parts_a VALUES (2, 'a', 'y');
ALTER TABLE parts DETACH PARTITION parts_b;
INSERT INTO parts_b VALUES (3, 'b', 'z');
SELECT keys FROM rag.change ORDER BY change_id;
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname LIKE 'rag_pg%' GROUP BY 1 ORDER BY 1;
DELETE FROM rag.change;
DROP TABLE parts_a;
SELECT keys FROM rag.change ORDER BY change_id;
-- Other tables cost nothing and fail nothing.
CREATE TABLE other (id int);
ALTER TABLE other ADD COLUMN x int;
DROP TABLE other;
SELECT rag_follow_ddl();
SELECT rag_drop_collection('parts');
SELECT count(*) FROM rag.change;
DROP TABLE parts, parts_b;
DROP SCHEMA ddl_schema CASCADE;
DROP ROLE regress_rag_new;
