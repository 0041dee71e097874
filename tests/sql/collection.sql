-- rag_create_collection and rag_drop_collection: what they make, whom they refuse.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = warning;
-- The SQLSTATE, message and hint a statement fails with.
CREATE FUNCTION refused(statement text, OUT state text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    message := 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END $$;
CREATE TABLE notes (id int PRIMARY KEY, title text, body text, other int);
INSERT INTO notes VALUES (1, 'one', 'first text', 0);
SELECT rag_create_collection('notes', 'notes', 'body', title => 'title', max_tokens => 64);
SELECT name, source, content_column, title_column, key_columns, text_search_config, paused
  FROM rag.collection;
SELECT state, model, dimensions, max_tokens, overlap_tokens, format, token_bits, index_method
  FROM rag.generation;
\d notes_chunks
SELECT replace(regexp_replace(pg_get_triggerdef(oid), 'rag_pg_[0-9]+', 'rag_pg_N'), 'OPERATOR(pg_catalog.=)', '=') AS trigger
  FROM pg_trigger WHERE tgrelid = 'notes'::regclass ORDER BY 1;
-- What a transaction appends.
SELECT keys FROM rag.change ORDER BY change_id;
DELETE FROM rag.change;
INSERT INTO notes SELECT g, 't' || g, 'text ' || g FROM generate_series(2, 4) g;
UPDATE notes SET other = 5;
UPDATE notes SET body = body;
UPDATE notes SET body = 'changed' WHERE id = 2;
UPDATE notes SET id = 30 WHERE id = 3;
UPDATE notes SET title = 'new' WHERE id = 4;
DELETE FROM notes WHERE id IN (1, 4);
COPY notes (id, body) FROM stdin;
10	ten
11	eleven
\.
INSERT INTO notes (id, body) VALUES (10, 'ten, again') ON CONFLICT (id) DO UPDATE SET body = excluded.body;
TRUNCATE notes;
SELECT keys FROM rag.change ORDER BY change_id;
DELETE FROM rag.change;
-- More than a thousand keys are split.
INSERT INTO notes SELECT g, NULL, NULL FROM generate_series(1, 2500) g;
SELECT cardinality(keys) FROM rag.change ORDER BY change_id;
DELETE FROM rag.change;
-- Any key: text with quotes, uuid, composite; any name.
CREATE SCHEMA "odd schema";
CREATE TABLE "odd schema"."Od""d'; --" (
    "Key, 1" text, content uuid, "ordinal" date, "the Text" varchar(200) NOT NULL,
    PRIMARY KEY ("Key, 1", content, "ordinal"));
SELECT rag_create_collection('o"d''d {x}', '"odd schema"."Od""d''; --"', 'the Text');
INSERT INTO "odd schema"."Od""d'; --"
VALUES ('a"b\c,{}', '00000000-0000-0000-0000-000000000001', '2026-01-02', 'x'),
       ('NULL', '00000000-0000-0000-0000-000000000002', '2026-01-03', 'y');
SELECT keys FROM rag.change WHERE keys IS NOT NULL;
SELECT column_name FROM information_schema.columns
 WHERE table_schema = 'odd schema' AND table_name = 'o"d''d {x}_chunks' ORDER BY ordinal_position;
DELETE FROM rag.change;
-- Partitions: through the parent, straight into one, and from one to another.
CREATE TABLE parts (id int, region text, body text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
CREATE TABLE parts_b (region text NOT NULL, body text, junk int, id int NOT NULL);
ALTER TABLE parts_b DROP COLUMN junk;
ALTER TABLE parts ATTACH PARTITION parts_b FOR VALUES IN ('b');
SELECT rag_create_collection('parts', 'parts', 'body');
DELETE FROM rag.change;
INSERT INTO parts VALUES (1, 'a', 'x'), (2, 'b', 'y');
INSERT INTO parts_b (id, region, body) VALUES (3, 'b', 'z');
UPDATE parts SET region = 'b' WHERE id = 1;
UPDATE parts SET body = 'new' WHERE id = 2;
UPDATE parts SET body = body;
UPDATE parts_b SET body = 'newer' WHERE id = 2;
DELETE FROM parts WHERE id = 3;
TRUNCATE parts_b;
SELECT keys FROM rag.change ORDER BY change_id;
-- By hand, and where it does not belong.
CREATE TABLE stranger (id int PRIMARY KEY, body text);
CREATE TRIGGER t AFTER INSERT ON stranger FOR EACH ROW EXECUTE FUNCTION rag_ingest();
\pset format unaligned
\pset tuples_only on
INSERT INTO stranger VALUES (1, 'x');
SELECT * FROM refused($$SELECT rag_ingest()$$);
-- Refusals.
CREATE TABLE no_key (id int, body text);
CREATE TABLE no_text (id int PRIMARY KEY, body int);
CREATE VIEW a_view AS SELECT * FROM notes;
CREATE TEMP TABLE temporary (id int PRIMARY KEY, body text);
SELECT * FROM refused($$SELECT rag_create_collection('notes', 'notes', 'body')$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'no_key', 'body')$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'no_text', 'body')$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'notes', 'nothing')$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'notes', 'body', title => 'nothing')$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'a_view', 'body')$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'temporary', 'body')$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'parts_a', 'body')$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'pg_class', 'relname')$$);
SELECT * FROM refused($$SELECT rag_create_collection('', 'notes', 'body')$$);
SELECT * FROM refused($$SELECT rag_create_collection(repeat('x', 57), 'notes', 'body')$$);
SELECT * FROM refused($$SELECT rag_create_collection(NULL, 'notes', 'body')$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'notes', NULL)$$);
SELECT state, message, regexp_replace(hint, '"/.*', '...') AS hint
  FROM refused($$SELECT rag_create_collection('x', 'notes', 'body', model => 'no-such-model')$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'notes', 'body', max_tokens => 0)$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'notes', 'body', max_tokens => 100000)$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'notes', 'body', max_tokens => 10, overlap_tokens => 10)$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'notes', 'body', overlap_tokens => -1)$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'notes', 'body', format => 'pdf')$$);
SELECT * FROM refused($$SELECT rag_create_collection('x', 'notes', 'body', index => 'btree')$$);
SELECT * FROM refused($$SELECT rag_drop_collection('unknown')$$);
SELECT * FROM refused($$SELECT rag_alter_collection('unknown', replicated => true)$$);
SELECT * FROM refused($$SELECT rag_alter_collection(NULL)$$);
-- Other roles: the owner may, a stranger may not.
CREATE ROLE regress_rag_owner;
CREATE ROLE regress_rag_other;
CREATE SCHEMA owned AUTHORIZATION regress_rag_owner;
GRANT USAGE ON SCHEMA owned TO regress_rag_other;
SET ROLE regress_rag_owner;
CREATE TABLE owned.docs (id int PRIMARY KEY, body text);
SELECT rag_create_collection('owned', 'owned.docs', 'body');
INSERT INTO owned.docs VALUES (1, 'x');
SELECT * FROM refused($$SELECT count(*) FROM rag.change$$);
SELECT regexp_replace(relname, '_g[0-9]+', '_gN') AS relation, relowner::regrole, relrowsecurity, relforcerowsecurity
  FROM pg_class WHERE relnamespace = 'owned'::regnamespace AND relkind IN ('r', 'v') ORDER BY 1;
RESET ROLE;
SET ROLE regress_rag_other;
SELECT * FROM refused($$SELECT rag_create_collection('stolen', 'owned.docs', 'body')$$);
SELECT * FROM refused($$SELECT rag_drop_collection('owned')$$);
SELECT * FROM refused($$SELECT rag_alter_collection('owned', replicated => true)$$);
SELECT * FROM refused($$SELECT * FROM owned.owned_chunks$$);
RESET ROLE;
CREATE TABLE owned_by_other (id int PRIMARY KEY, body text);
ALTER TABLE owned_by_other OWNER TO regress_rag_other;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SET ROLE regress_rag_other;
SELECT * FROM refused($$SELECT rag_create_collection('nowhere', 'owned_by_other', 'body')$$);
RESET ROLE;
\pset format aligned
\pset tuples_only off
-- An option that needs no rebuild. A source whose rows are changed on their way in keeps it.
CREATE TABLE replica (id int PRIMARY KEY, body text);
SELECT rag_create_collection('replica', 'replica', 'body', replicated => true);
CREATE FUNCTION replica() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.body := upper(NEW.body); RETURN NEW; END';
CREATE TRIGGER first BEFORE UPDATE ON replica FOR EACH ROW EXECUTE FUNCTION replica();
CREATE VIEW replica_triggers AS
    SELECT substring(tgname::text from '[a-z_]+$') AS trigger, tgenabled, (tgtype & 1)::bool AS for_each_row, cardinality(tgattr::smallint[]) AS columns
      FROM pg_trigger WHERE tgrelid = 'replica'::regclass AND tgname LIKE 'rag\_pg\_%' ORDER BY tgname;
SELECT * FROM replica_triggers;
SELECT rag_alter_collection('replica', replicated => NULL);
SELECT replicated FROM rag.collection WHERE name = 'replica';
SELECT rag_alter_collection('replica', replicated => false);
SELECT * FROM replica_triggers;
BEGIN;
SELECT rag_alter_collection('replica', replicated => true);
ROLLBACK;
SELECT count(*) FROM replica_triggers;
DROP TABLE replica CASCADE;
DROP FUNCTION replica;
-- A rolled back creation leaves nothing.
BEGIN;
SELECT rag_create_collection('gone', 'notes', 'body');
ROLLBACK;
SELECT count(*) FROM rag.collection WHERE name = 'gone';
-- Dropping leaves the source as it was and nothing else.
SELECT rag_drop_collection(name) FROM (SELECT name FROM rag.collection ORDER BY name) c;
SELECT count(*) FROM rag.collection;
SELECT count(*) FROM rag.generation;
SELECT count(*) FROM rag.change;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'rag_pg%';
SELECT count(*) FROM pg_class WHERE relname LIKE '%chunks' OR relname LIKE '%\_g_\_documents';
SELECT count(*) FROM notes;
DROP SCHEMA owned CASCADE;
DROP TABLE owned_by_other, notes, parts, stranger, no_key, no_text CASCADE;
DROP SCHEMA "odd schema" CASCADE;
GRANT CREATE ON SCHEMA public TO PUBLIC;
DROP ROLE regress_rag_owner, regress_rag_other;
DROP FUNCTION refused;

-- Where all tables are published, rows of one without a primary key could not be deleted: no table of ours is without.
CREATE TABLE published (id int PRIMARY KEY, body text);
SELECT rag_create_collection('published', 'published', 'body');
SELECT c.oid::regclass AS without_key
  FROM pg_class c
 WHERE c.relkind IN ('r', 'p')
   AND (c.relnamespace = 'rag'::regnamespace OR c.oid IN (SELECT unnest(ARRAY[documents, chunks, bits]) FROM rag.generation))
   AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary);
SET client_min_messages = error;
CREATE PUBLICATION regress_everything FOR ALL TABLES;
RESET client_min_messages;
INSERT INTO published VALUES (1, 'A text.'), (2, 'Another text.');
CALL rag_work('published');
UPDATE published SET body = 'A text of later.' WHERE id = 1;
DELETE FROM published WHERE id = 2;
CALL rag_work('published');
SELECT id, content FROM published_chunks;
-- Subscribers have no table of these names yet.
SET client_min_messages = warning;
SELECT rag_rebuild('published', max_tokens => 20) > 0 AS is_building;
SELECT rag_drop_collection('published');
DROP PUBLICATION regress_everything;
CREATE SCHEMA "Sent";
SET client_min_messages = error;
CREATE PUBLICATION regress_schema FOR TABLES IN SCHEMA "Sent";
CREATE PUBLICATION regress_other FOR TABLES IN SCHEMA public;
RESET client_min_messages;
CREATE TABLE "Sent".published (id int PRIMARY KEY, body text);
SELECT rag_create_collection('published', '"Sent".published', 'body');
SELECT rag_drop_collection('published');
DROP PUBLICATION regress_schema, regress_other;
SELECT rag_create_collection('published', '"Sent".published', 'body');
SELECT rag_drop_collection('published');
DROP TABLE published, "Sent".published;
DROP SCHEMA "Sent";
