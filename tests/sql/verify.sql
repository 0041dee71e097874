-- rag_verify: whatever was done behind a collection's back is found, and repaired with no more work than
-- it takes.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE FUNCTION wrong(name text, repair boolean = false) RETURNS TABLE (problem text, found bigint, action text)
LANGUAGE sql AS 'SELECT problem, found, action FROM rag_verify(name, repair) WHERE found > 0';
-- What is searchable, against what the source says.
CREATE FUNCTION sound(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    of record;
    answer text;
BEGIN
    SELECT g.documents, g.chunks, g.bits INTO of
      FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = sound.name;
    EXECUTE format(
        $q$SELECT format('%%s documents, %%s of their text, %%s strays, %%s without bits, counted %%s',
             (SELECT count(*) FROM %2$s),
             (SELECT count(*) FROM %1$I d JOIN %3$s v USING (id)
               WHERE v.content = substr(d.body, v.char_start + 1, v.char_end - v.char_start)),
             (SELECT count(*) FROM %4$s c WHERE NOT EXISTS (SELECT FROM %2$s d WHERE c.chunk_id = ANY (d.chunk_ids))),
             (SELECT count(*) FROM %4$s c WHERE NOT EXISTS (SELECT FROM %5$s b WHERE b.chunk_id = c.chunk_id)),
             (SELECT s.indexed = (SELECT count(*) FROM %2$s) AND s.chunks = (SELECT count(*) FROM %4$s)
                FROM rag.status s WHERE s.collection = %1$L))$q$,
        name, of.documents, name || '_chunks', of.chunks, of.bits) INTO answer;
    RETURN answer;
END $$;
-- Runs a statement for each name that a query finds, without showing it: names hold numbers.
CREATE FUNCTION for_each(statement text, names text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOR name IN EXECUTE names LOOP
        EXECUTE format(statement, name);
    END LOOP;
END $$;
CREATE TABLE care (id int PRIMARY KEY, title text, body text);
INSERT INTO care SELECT i, 'Title ' || i, format('Number %s is a number. It is followed by %s.', i, i + 1) FROM generate_series(1, 30) i;
SELECT rag_create_collection('care', 'care', 'body', title => 'title', max_tokens => 9, overlap_tokens => 0);
-- What waits in the queue is no difference.
SELECT * FROM wrong('care');
CALL rag_work();
SELECT problem, found, action FROM rag_verify('care');
SELECT sound('care');
UPDATE care SET body = body || ' More.' WHERE id = 1;
DELETE FROM care WHERE id = 30;
INSERT INTO care VALUES (31, NULL, NULL);
SELECT * FROM wrong('care');
CALL rag_work();
SELECT documents, chunks, bits FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'care' \gset

-- Rows changed while nobody looked.
ALTER TABLE care DISABLE TRIGGER ALL;
SELECT * FROM wrong('care');
UPDATE care SET body = 'Another text entirely.' WHERE id = 2;
UPDATE care SET title = 'Another title' WHERE id = 3;
DELETE FROM care WHERE id IN (4, 5);
INSERT INTO care VALUES (40, 'New', 'A new one.'), (41, NULL, ''), (42, NULL, NULL);
SELECT * FROM wrong('care');
SELECT embedded FROM rag.progress JOIN rag.generation g USING (generation_id) WHERE g.chunks = :'chunks'::regclass \gset
SELECT * FROM wrong('care', true);
-- The triggers are back, so this counts.
UPDATE care SET body = 'Changed and noticed.' WHERE id = 6;
SELECT * FROM wrong('care');
CALL rag_work();
SELECT * FROM wrong('care');
SELECT sound('care');
SELECT id, title, body FROM care JOIN care_chunks USING (id) WHERE id IN (2, 6, 40) AND ordinal = 1 ORDER BY id;
SELECT embedded - :embedded AS embedded FROM rag.progress JOIN rag.generation g USING (generation_id) WHERE g.chunks = :'chunks'::regclass;

-- Triggers dropped, changed, replaced by another function's.
SELECT for_each('DROP TRIGGER %I ON care', $$SELECT tgname FROM pg_trigger WHERE tgrelid = 'care'::regclass AND tgname ~ '_(insert|truncate)$'$$);
INSERT INTO care VALUES (50, NULL, 'Fifty.');
SELECT * FROM wrong('care', true);
CALL rag_work();
SELECT sound('care');
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.body := upper(NEW.body); RETURN NEW; END $$;
ALTER EVENT TRIGGER rag_pg_follow_command DISABLE;
CREATE TRIGGER loud BEFORE UPDATE ON care FOR EACH ROW EXECUTE FUNCTION loud();
ALTER EVENT TRIGGER rag_pg_follow_command ENABLE;
UPDATE care SET title = title WHERE id = 7;
SELECT * FROM wrong('care');
SELECT * FROM wrong('care', true);
DROP TRIGGER loud ON care; DROP FUNCTION loud;
CALL rag_work();
SELECT * FROM wrong('care', true);
SELECT sound('care');

-- Chunks, documents and bits that went astray.
DELETE FROM :chunks WHERE chunk_id = (SELECT chunk_id FROM care_chunks WHERE id = 8 AND ordinal = 1);
DELETE FROM :chunks WHERE key_1 = 9;
DELETE FROM :bits WHERE chunk_id = (SELECT chunk_id FROM care_chunks WHERE id = 10 AND ordinal = 1);
DELETE FROM :documents WHERE key_1 IN (11, 12);
SELECT array_agg(chunk_id ORDER BY chunk_id) AS before FROM care_chunks WHERE id IN (8, 10) AND ordinal = 2 \gset
SELECT * FROM wrong('care');
SELECT embedded FROM rag.progress JOIN rag.generation g USING (generation_id) WHERE g.chunks = :'chunks'::regclass \gset
SELECT * FROM wrong('care', true);
-- Documents whose chunks are gone in part are found by the others meanwhile; nothing names what is not there.
SELECT id, ordinal FROM care_chunks WHERE id IN (8, 9, 10, 11) ORDER BY 1, 2;
SELECT * FROM wrong('care');
CALL rag_work();
SELECT * FROM wrong('care');
SELECT sound('care');
SELECT array_agg(chunk_id ORDER BY chunk_id) = :'before' AS kept FROM care_chunks WHERE id IN (8, 10) AND ordinal = 2;
SELECT embedded - :embedded AS embedded FROM rag.progress JOIN rag.generation g USING (generation_id) WHERE g.chunks = :'chunks'::regclass;
-- All of it, as after a restore without the chunks' data.
TRUNCATE :chunks;
INSERT INTO rag.job_count SELECT generation_id, 3, 0, -1 FROM rag.generation WHERE chunks = :'chunks'::regclass;
SELECT * FROM wrong('care', true);
CALL rag_work();
SELECT * FROM wrong('care');
SELECT sound('care');

-- Segments of the inverted file: lost, counted wrong, of other bytes, there twice.
SELECT segments, postings FROM rag.generation WHERE chunks = :'chunks'::regclass \gset
CREATE FUNCTION mend() RETURNS TABLE (problem text, found bigint, action text) LANGUAGE sql
AS $$ SELECT * FROM wrong('care', true) $$;
DELETE FROM :segments WHERE segment = (SELECT max(segment) FROM :segments);
SELECT * FROM mend();
UPDATE :segments SET length = length + 1;
SELECT * FROM mend();
UPDATE :segments SET postings = set_byte(postings, length(postings) / 2, get_byte(postings, length(postings) / 2) # 1);
SELECT * FROM mend();
UPDATE :segments SET postings = '';
SELECT * FROM mend();
INSERT INTO :segments (is_deletion, chunks, length, postings) SELECT is_deletion, chunks, length, postings FROM :segments;
SELECT * FROM mend();
UPDATE :segments SET postings = NULL;
SELECT * FROM mend();
SELECT * FROM wrong('care');
-- Whoever writes chunks past the library has posting lists of all of them by rag_verify.
SELECT sum(CASE WHEN is_deletion THEN -chunks ELSE chunks END) = (SELECT count(*) FROM :chunks) AS chunks,
       sum(CASE WHEN is_deletion THEN -length ELSE length END) = (SELECT sum(lexeme_count) FROM :chunks) AS lexemes
  FROM :segments;
SELECT count(*) AS otherwise FROM :chunks
 WHERE lexeme_count <> (SELECT sum(greatest(cardinality(positions), 1)) FROM unnest(lexemes));

-- Policies, indexes, view, rights, owners.
CREATE ROLE regress_care_reader; CREATE ROLE regress_care_other;
GRANT SELECT ON care TO regress_care_reader;
SELECT rag_grant('care', 'regress_care_reader');
ALTER TABLE :chunks DISABLE ROW LEVEL SECURITY;
DROP POLICY source_visible ON :bits;
DROP VIEW care_chunks;
REVOKE SELECT ON :bits FROM regress_care_reader;
ALTER TABLE :documents OWNER TO regress_care_other;
ALTER TABLE :postings OWNER TO regress_care_other;
CREATE POLICY p ON :segments USING (true);
ALTER TABLE :postings DISABLE ROW LEVEL SECURITY;
SELECT for_each('ALTER TABLE %s', format($$SELECT format('%%s DROP CONSTRAINT %%I', conrelid::regclass, conname) FROM pg_constraint
  WHERE contype <> 'n' AND conrelid IN (%s, %s, %s, %s)$$, :'documents'::regclass::oid, :'bits'::regclass::oid,
  :'segments'::regclass::oid, :'postings'::regclass::oid));
SELECT * FROM wrong('care');
SELECT * FROM wrong('care', true);
SELECT * FROM wrong('care');
SET ROLE regress_care_reader;
SELECT count(*) > 0 AS finds FROM rag_search('care', 'number');
SELECT count(*) > 0 AS sees FROM care_chunks;
\set VERBOSITY sqlstate
SELECT count(*) FROM :segments;
\set VERBOSITY default
RESET ROLE;

-- By the owner alone, and not of a collection that is not there.
\set VERBOSITY sqlstate
SET ROLE regress_care_reader;
SELECT * FROM rag_verify('care');
RESET ROLE;
SELECT * FROM rag_verify('no such');
SELECT count(*) FROM rag_verify(NULL);
-- Looking is possible where nothing may be written.
BEGIN READ ONLY;
SELECT count(*) FROM wrong('care');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM wrong('care', true);
COMMIT;
-- A table of the collection that is gone cannot be made up for.
\set VERBOSITY default
DROP TABLE :bits;
SELECT * FROM rag_verify('care');
SELECT rag_drop_collection('care');
DROP TABLE care;

-- Partitions, in a schema with odd names, with keys of several columns.
CREATE SCHEMA "Care ""of""";
CREATE TABLE "Care ""of""".parts (region text COLLATE "C", day date, body text, PRIMARY KEY (region, day)) PARTITION BY LIST (region);
CREATE TABLE "Care ""of""".parts_a PARTITION OF "Care ""of""".parts FOR VALUES IN ('a');
CREATE TABLE "Care ""of""".parts_b PARTITION OF "Care ""of""".parts FOR VALUES IN ('b') PARTITION BY RANGE (day);
CREATE TABLE "Care ""of""".parts_b_1 PARTITION OF "Care ""of""".parts_b DEFAULT;
INSERT INTO "Care ""of""".parts VALUES ('a', '2026-01-01', 'First.'), ('b', '2026-01-02', 'Second.');
SELECT rag_create_collection('parts', '"Care ""of""".parts', 'body');
CALL rag_work();
SELECT * FROM wrong('parts');
ALTER TABLE "Care ""of""".parts_b_1 DISABLE TRIGGER ALL;
UPDATE "Care ""of""".parts_b_1 SET body = 'Second, changed.';
SET datestyle = 'German';
SELECT * FROM wrong('parts');
SELECT * FROM wrong('parts', true);
RESET datestyle;
CALL rag_work();
SELECT region, day, content FROM "Care ""of""".parts_chunks ORDER BY 1;
-- A comparison of everything finds changed texts too: a trigger without transition tables cannot say which.
SELECT for_each('DROP TRIGGER %I ON "Care ""of""".parts_a', $$SELECT tgname FROM pg_trigger WHERE tgrelid = '"Care ""of""".parts_a'::regclass AND tgname ~ '_update$'$$);
CREATE TRIGGER mine AFTER UPDATE ON "Care ""of""".parts_a FOR EACH STATEMENT EXECUTE FUNCTION rag_ingest('parts');
UPDATE "Care ""of""".parts_a SET body = 'First, changed.';
CALL rag_work();
SELECT region, day, content FROM "Care ""of""".parts_chunks ORDER BY 1;
SELECT rag_drop_collection('parts');
DROP SCHEMA "Care ""of""" CASCADE;
DROP ROLE regress_care_reader, regress_care_other;
DROP FUNCTION mend, wrong, sound, for_each;
