-- What was found by attack after the first mends, by kind: code of an owner's in types, rights on columns, objects of others in
-- the way, keys that read oddly.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE ROLE attack_owner; CREATE ROLE attack_tenant; CREATE ROLE attack_nobody;
CREATE SCHEMA attack AUTHORIZATION attack_owner;
GRANT USAGE ON SCHEMA attack TO PUBLIC;
CREATE SCHEMA attack_other AUTHORIZATION attack_nobody;
SET ROLE attack_owner;
SET search_path = attack, public;
-- A filter's value is read as the searcher: no domain inside a column's type is.
CREATE FUNCTION spy(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'runs as %', current_user; RETURN true; END $$;
CREATE DOMAIN tag AS text CHECK (attack.spy(value));
CREATE TYPE pair AS (a int, b tag);
CREATE TABLE tagged (id int PRIMARY KEY, body text NOT NULL, tags tag[], pair pair, plain text[], whole tag);
SELECT rag_create_collection('tagged', 'tagged', 'body');
INSERT INTO tagged VALUES (1, 'A zebra eats grass.', NULL, NULL, '{a}', NULL);
RESET ROLE;
CALL rag_work('tagged');
SELECT content FROM rag_search('tagged', 'zebra', filter => '{"tags": "{b}"}');
SELECT content FROM rag_search('tagged', 'zebra', filter => '{"pair": "(1,b)"}');
SELECT content FROM rag_search('tagged', 'zebra', filter => '{"plain": "{a}"}');
-- A domain around the type itself is left aside.
SELECT content FROM rag_search('tagged', 'zebra', filter => '{"whole": "b"}');
-- Titles are for those who may read the title's column.
SET ROLE attack_owner;
CREATE TABLE titled (id int PRIMARY KEY, body text NOT NULL, title text);
SELECT rag_create_collection('titled', 'titled', 'body', title => 'title');
INSERT INTO titled VALUES (1, 'A zebra eats grass.', 'Salary of Bob');
GRANT SELECT (id, body) ON titled TO attack_tenant;
SELECT rag_grant('titled', 'attack_tenant');
RESET ROLE;
CALL rag_work('titled');
SET ROLE attack_tenant;
SELECT metadata FROM rag_search('titled', 'zebra');
SELECT metadata FROM attack.titled_chunks;
RESET ROLE;
GRANT SELECT (title) ON attack.titled TO attack_tenant;
SET ROLE attack_tenant;
SELECT metadata ->> 'section' AS section FROM rag_search('titled', 'zebra');
RESET ROLE;
-- Nobody's column of a row type is in the way of a drop.
SET ROLE attack_nobody;
SELECT format('CREATE TABLE attack_other.blocker (x %s)', chunks) AS statement FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'titled' \gset
SELECT regexp_replace(:'statement', '_g\d+_', '_gN_') AS refused;
DO $$ BEGIN EXECUTE (SELECT format('CREATE TABLE attack_other.blocker (x %s)', chunks) FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'titled');
EXCEPTION WHEN insufficient_privilege THEN RAISE WARNING 'permission denied'; END $$;
CREATE TABLE attack_other.blocker (x attack.titled_chunks);
-- What those made who were granted something goes with the source, not with rag_drop_collection.
RESET ROLE;
GRANT CREATE ON SCHEMA attack_other TO attack_tenant;
SET ROLE attack_tenant;
CREATE VIEW attack_other.mine AS SELECT chunk_id FROM attack.titled_chunks;
SET ROLE attack_owner;
SELECT rag_drop_collection('titled');
DROP TABLE titled CASCADE;
SELECT count(*) FROM rag.collection WHERE name = 'titled';
-- A key with a NULL inside is a key.
CREATE TYPE part AS (a int, b text);
CREATE TABLE parts (k part PRIMARY KEY, body text);
INSERT INTO parts VALUES (ROW(1, 'x'), 'Full of zebras.'), (ROW(2, NULL), 'Half of a zebra.');
SELECT rag_create_collection('parts', 'parts', 'body');
RESET ROLE;
CALL rag_work('parts');
SELECT document_key, content FROM rag_search('parts', 'zebra') ORDER BY 1;
UPDATE attack.parts SET k = ROW(1, NULL) WHERE body LIKE 'Full%';
CALL rag_work('parts');
SELECT document_key, content FROM rag_search('parts', 'zebra') ORDER BY 1;
SELECT problem, found FROM rag_verify('parts') WHERE found > 0;
DELETE FROM attack.parts;
CALL rag_work('parts');
SELECT indexed, pending, dead FROM rag.status WHERE collection = 'parts';
-- Arrays are keys, whatever the session thinks of NULL.
SET ROLE attack_owner;
CREATE TABLE arrays (k int[] PRIMARY KEY, body text);
INSERT INTO arrays VALUES ('{NULL,1}', 'A zebra eats grass.');
SELECT rag_create_collection('arrays', 'arrays', 'body');
SET array_nulls = off;
CALL rag_work('arrays');
UPDATE arrays SET body = 'A horse eats hay.';
CALL rag_work('arrays');
SELECT document_key, content FROM rag_search('arrays', 'horse');
RESET array_nulls;
RESET ROLE;
-- What an owner before left on a generation's table is nothing that the next one runs; progress waits for nobody's lock.
CREATE ROLE attack_heir;
GRANT ALL ON SCHEMA attack TO attack_heir;
SET ROLE attack_owner;
CREATE FUNCTION left_behind() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'runs as %', current_user; RETURN 1; END $$;
CREATE TABLE heirloom (id int PRIMARY KEY, body text);
SELECT rag_create_collection('heirloom', 'heirloom', 'body');
SELECT chunks FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'heirloom' \gset
ALTER TABLE :chunks ADD COLUMN x int DEFAULT left_behind();
INSERT INTO heirloom VALUES (1, 'A zebra eats grass.');
RESET ROLE;
CALL rag_work('heirloom');
ALTER TABLE attack.heirloom OWNER TO attack_heir;
INSERT INTO attack.heirloom VALUES (2, 'A horse eats hay.');
SET client_min_messages = error;
CALL rag_work('heirloom');
SET client_min_messages = warning;
SELECT regexp_replace(paused, '_g\d+_', '_gN_') AS paused FROM rag.generation_status WHERE collection = 'heirloom';
SELECT rag_drop_collection('heirloom');
-- Functions that others may call by hand have limits.
SET rag_pg.max_document_size = '1MB';
SELECT length(rag.search_text('simple', repeat('a', 1100000)));
RESET rag_pg.max_document_size;
SET search_path = public;
SELECT rag_drop_collection(name) FROM rag.collection WHERE name IN ('tagged', 'parts', 'arrays');
DROP OWNED BY attack_owner, attack_tenant, attack_nobody, attack_heir CASCADE;
DROP ROLE attack_owner, attack_tenant, attack_nobody, attack_heir;
