-- rag.status: what it says in each state, to whom, and that others' queues do not make it slow.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE FUNCTION state(name text) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s documents, %s indexed, %s pending, %s in flight, %s dead, %s chunks, lag %s, worker %s%s',
                  documents, indexed, pending, in_flight, dead, chunks, lag >= interval '0', worker, ': ' || paused)
      FROM rag.status WHERE collection = name
$$;
CREATE TABLE seen (id int PRIMARY KEY, body text);
INSERT INTO seen SELECT i, 'Text ' || i FROM generate_series(1, 5) i;
SELECT rag_create_collection('seen', 'seen', 'body');
-- A comparison of the whole source waits, as a change and then as a scan, until its last page is done.
SELECT state('seen');
SELECT generation_id, collection_id, chunks FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'seen' \gset
DELETE FROM rag.change WHERE collection_id = :collection_id;
INSERT INTO rag.scan (generation_id) VALUES (:generation_id);
SELECT state('seen');
CALL rag_work();
SELECT state('seen');
INSERT INTO seen VALUES (6, 'Text 6'), (7, 'Text 7');
UPDATE seen SET body = 'Text one' WHERE id = 1;
SELECT state('seen');
-- Jobs: waiting, claimed, claimed by one that is gone, dead.
INSERT INTO rag.job (generation_id, key, is_new, queued_at, ready_at, worker, is_dead)
VALUES (:generation_id, '["1"]', false, now(), now(), NULL, false),
       (:generation_id, '["2"]', false, now(), now() + interval '1 min', 1, false),
       (:generation_id, '["3"]', false, now(), now() - interval '1 min', 1, false),
       (:generation_id, '["4"]', true, now(), now(), NULL, true);
SELECT state('seen');
DELETE FROM rag.job WHERE generation_id = :generation_id;
-- Why it stands still, and what lets it go on.
UPDATE rag.collection SET paused = 'a reason' WHERE name = 'seen';
SELECT state('seen');
SELECT rag_retry('seen');
UPDATE rag.collection SET home = 'elsewhere' WHERE name = 'seen';
DELETE FROM rag.progress WHERE generation_id = :generation_id;
SELECT state('seen');
SELECT rag_retry('seen');
SELECT state('seen');
CALL rag_work('seen');
SELECT problem, found, action FROM rag_verify('seen') WHERE found > 0;
CALL rag_work('seen');
SELECT state('seen');
-- Only to those whom it concerns.
CREATE ROLE regress_status_reader;
SET ROLE regress_status_reader;
SELECT state('seen');
RESET ROLE;
SELECT rag_grant('seen', 'regress_status_reader');
SET ROLE regress_status_reader;
SELECT state('seen');
RESET ROLE;
-- A large queue of another collection is not read.
INSERT INTO rag.job (generation_id, key, is_new, queued_at) SELECT -1, format('["%s"]', i), false, now() FROM generate_series(1, 20000) i;
ANALYZE rag.job;
CREATE FUNCTION reads_all(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
        IF line ~ 'Seq Scan on job' THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;
SELECT reads_all('SELECT collection, pending, dead FROM rag.status'), reads_all('SELECT reason FROM rag.job');
DELETE FROM rag.job WHERE generation_id = -1;
SELECT rag_drop_collection('seen');
DROP TABLE seen;
DROP FUNCTION state, reads_all;
DROP ROLE regress_status_reader;
