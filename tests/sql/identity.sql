-- What is a collection's is what the catalog names by number: triggers, tables, indexes and views of others with names like
-- those of a collection's are left alone, and nobody waits for them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = notice;
CREATE ROLE regress_rag_mal LOGIN;
CREATE SCHEMA own; CREATE SCHEMA mal AUTHORIZATION regress_rag_mal;
CREATE TABLE own.docs (id int NOT NULL, part text NOT NULL, body text, PRIMARY KEY (part, id)) PARTITION BY LIST (part);
CREATE TABLE own.docs_a PARTITION OF own.docs FOR VALUES IN ('a');
CREATE TABLE own.docs_b PARTITION OF own.docs FOR VALUES IN ('b');
SELECT rag_create_collection('docs', 'own.docs', 'body');
SELECT collection_id AS id FROM rag.collection WHERE name = 'docs' \gset
SELECT count(*) FROM rag.change;
-- Anybody's table with triggers like ours, of another function and of rag_ingest() itself, in a schema and temporary.
SELECT current_user AS me \gset
\c - regress_rag_mal
CREATE FUNCTION mal.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE mal.t (id int NOT NULL, part text, body text); CREATE TABLE mal.u (LIKE mal.t); CREATE TEMP TABLE t (LIKE mal.t);
CREATE VIEW mal.mine AS SELECT tgrelid::regclass AS relation, regexp_replace(tgname::text, '\d+', 'N') AS trigger FROM pg_trigger
 WHERE tgrelid IN ('mal.t'::regclass, 'mal.u'::regclass) ORDER BY 1, 2;
\set ECHO none
SELECT format('CREATE TRIGGER rag_pg_%s_%s AFTER %2$s ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s', :id, e, t, f)
  FROM unnest(ARRAY ['insert', 'truncate']) e, (VALUES ('mal.t', 'mal.f()'), ('mal.u', 'rag_ingest(''docs'')'), ('pg_temp.t', 'rag_ingest(''docs'')')) AS x (t, f) \gexec
\set ECHO all
SELECT count(*) FROM rag.collection WHERE name = 'docs';
DROP TABLE pg_temp.t;
\c - :me
-- Nothing to compare because of them, and nothing dropped.
SELECT count(*) FROM rag.change;
CREATE TABLE own.docs_c PARTITION OF own.docs FOR VALUES IN ('c');
ALTER TABLE own.docs DETACH PARTITION own.docs_b;
ALTER TABLE own.docs ADD COLUMN extra int;
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgrelid IN ('own.docs'::regclass, 'own.docs_a'::regclass, 'own.docs_b'::regclass, 'own.docs_c'::regclass) GROUP BY 1 ORDER BY 1;
SELECT partition FROM rag.source_partition ORDER BY 1;
SELECT problem, found FROM rag_verify('docs') WHERE found > 0 AND problem <> 'document missing';
SELECT count(*) FROM mal.mine;
DELETE FROM rag.change;
ALTER TABLE own.docs DROP COLUMN extra;
SELECT count(*) FROM rag.change;
-- All of it goes, and nothing of theirs.
BEGIN;
SET LOCAL lock_timeout = '1s';
DROP TABLE own.docs_c;
SELECT rag_drop_collection('docs');
SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('own.docs'::regclass, 'own.docs_a'::regclass, 'own.docs_b'::regclass);
SELECT relation, trigger FROM mal.mine;
ROLLBACK;
-- A view with the name that the collection's would get is not replaced.
CREATE TABLE own.plain (id int PRIMARY KEY, body text);
CREATE VIEW own.plain_chunks AS SELECT 1 AS precious;
SELECT rag_create_collection('plain', 'own.plain', 'body');
DROP VIEW own.plain_chunks;
SELECT rag_create_collection('plain', 'own.plain', 'body');
DROP VIEW own.plain_chunks;
CREATE VIEW own.plain_chunks AS SELECT 1 AS precious;
SELECT rag_grant('plain', 'regress_rag_mal');
SELECT relacl IS NULL AS untouched FROM pg_class WHERE oid = 'own.plain_chunks'::regclass;
SELECT count(*) FROM rag_verify('plain');
SELECT rag_drop_collection('plain');
SELECT * FROM own.plain_chunks;
-- A trigger made by hand is the owner's, whatever its name, unless it names the collection.
DROP VIEW own.plain_chunks;
SELECT rag_create_collection('plain', 'own.plain', 'body');
CREATE FUNCTION own.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER by_hand AFTER INSERT ON own.plain FOR EACH ROW EXECUTE FUNCTION rag_ingest();
CREATE TRIGGER named AFTER INSERT ON own.plain FOR EACH ROW EXECUTE FUNCTION rag_ingest('plain');
CREATE TRIGGER rag_pg_0_insert AFTER INSERT ON own.plain FOR EACH ROW EXECUTE FUNCTION own.nothing();
INSERT INTO own.plain VALUES (1, 'One.');
SELECT count(*), count(DISTINCT keys) FROM rag.change WHERE keys IS NOT NULL;
SELECT problem, found FROM rag_verify('plain', false) WHERE found > 0 AND problem <> 'document missing';
SELECT rag_drop_collection('plain');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'own.plain'::regclass ORDER BY 1;
DROP TABLE mal.t, mal.u CASCADE;
SELECT rag_drop_collection('docs');
DROP SCHEMA own CASCADE; DROP SCHEMA mal CASCADE;
DROP ROLE regress_rag_mal;
