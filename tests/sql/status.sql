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
-- What is written meanwhile is found by the comparison: it is not counted twice.
INSERT INTO rag.job (generation_id, key, is_new, queued_at) SELECT :generation_id, format('["%s"]', i), true, now() FROM generate_series(1, 3) i;
INSERT INTO rag.change (collection_id, keys, is_insert) SELECT :collection_id, array_agg(format('["%s"]', i)), true FROM generate_series(1, 5) i;
SELECT state('seen');
CALL rag_work();
SELECT state('seen');
SELECT rate > 0 AS has_rate, eta FROM rag.status;
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
-- How many there are is not counted but kept, whatever is done to them, and sees what the snapshot sees.
CREATE FUNCTION miscounted() RETURNS TABLE (generation_id int, open numeric, dead numeric, new numeric) LANGUAGE sql AS $$
    SELECT generation_id, sum(open), sum(dead), sum(new)
      FROM (SELECT generation_id, (NOT is_dead)::int AS open, is_dead::int AS dead, is_new::int AS new FROM rag.job
             UNION ALL SELECT generation_id, -open, -dead, -new FROM rag.job_count) j
     GROUP BY generation_id HAVING sum(open) <> 0 OR sum(dead) <> 0 OR sum(new) <> 0
$$;
SELECT open, dead, new FROM rag.job_count WHERE generation_id = :generation_id;
UPDATE rag.job SET is_dead = NOT is_dead, is_new = true, attempts = 3 WHERE key IN ('["1"]', '["3"]', '["4"]');
SELECT state('seen');
INSERT INTO rag.job AS j (generation_id, key, is_new, queued_at)
SELECT :generation_id, format('["%s"]', i), true, now() FROM generate_series(3, 6) i
    ON CONFLICT (generation_id, rag.source_hash(NULL, key)) DO UPDATE SET is_dead = false, is_new = j.key <> '["4"]';
UPDATE rag.job SET attempts = attempts + 1;
BEGIN;
DELETE FROM rag.job WHERE is_new;
SAVEPOINT inside;
UPDATE rag.job SET is_dead = true;
ROLLBACK TO inside;
SELECT state('seen');
SELECT * FROM miscounted();
ROLLBACK;
SELECT state('seen');
SELECT * FROM miscounted();
BEGIN;
TRUNCATE rag.job;
SELECT state('seen');
SELECT * FROM miscounted();
ROLLBACK;
SELECT * FROM miscounted();
DELETE FROM rag.job WHERE generation_id = :generation_id;
SELECT * FROM miscounted();
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
        IF line ~ 'Seq Scan on job\M' THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;
SELECT reads_all('SELECT collection, pending, dead FROM rag.status'), reads_all('SELECT reason FROM rag.job');
DELETE FROM rag.job WHERE generation_id = -1;
-- Nor is a large queue of its own: pages looked at, beside those that the queue has.
CREATE FUNCTION pages(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || query INTO plan;
    RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END $$;
INSERT INTO rag.job (generation_id, key, is_new, queued_at, is_dead)
SELECT :generation_id, format('["%s"]', i), false, now(), i % 2 = 0 FROM generate_series(1, 40000) i;
SELECT pages('SELECT count(*) FROM rag.job') AS pages \gset
SELECT pending, dead, pages('SELECT * FROM rag.generation_status') < :pages / 2 AS is_cheap FROM rag.status;
ANALYZE rag.job;
SELECT pending, dead, pages('SELECT * FROM rag.generation_status') < :pages / 2 AS is_cheap FROM rag.status;
-- Those of the one being built are not read either, but for what the active one has waiting too.
SELECT rag_rebuild('seen', max_tokens => 20) AS generation_id \gset built_
INSERT INTO rag.job (generation_id, key, is_new, queued_at, is_dead)
SELECT :built_generation_id, format('["%s"]', i), false, now(), i % 3 = 0 FROM generate_series(1, 40100) i;
DELETE FROM rag.scan; DELETE FROM rag.change;
SELECT behind, missing FROM rag.generation_status WHERE generation = :built_generation_id;
DELETE FROM rag.job WHERE generation_id = :generation_id AND key NOT IN ('["2"]', '["3"]', '["5"]', '["6"]');
VACUUM ANALYZE rag.job;
SELECT pending, dead, behind, missing FROM rag.generation_status WHERE generation = :built_generation_id;
SELECT pages('SELECT * FROM rag.generation_status') < :pages / 2 AS is_cheap;
SELECT rag.jobs_of_both(:built_generation_id, :generation_id, true) AS both;
SET ROLE regress_status_reader;
SELECT rag.jobs_of_both(:built_generation_id, :generation_id, true) AS both;
SELECT behind, missing FROM rag.generation_status WHERE generation = :built_generation_id;
RESET ROLE;
SELECT rag_revoke('seen', 'regress_status_reader');
SET ROLE regress_status_reader;
SELECT rag.jobs_of_both(:built_generation_id, :generation_id, true) AS both;
RESET ROLE;
SELECT * FROM miscounted();
-- Many rows of counters become one for each generation on the way, and what is left of one that was pruned goes.
INSERT INTO rag.job_count SELECT g, i, 0, -i FROM generate_series(-50, 50) i, unnest(ARRAY[:generation_id, :built_generation_id, -1]) g;
SELECT rag_pause('seen');
SET client_min_messages = error;
CALL rag_work('seen');
RESET client_min_messages;
SELECT count(*), count(DISTINCT generation_id) FROM rag.job_count WHERE generation_id IN (:generation_id, :built_generation_id, -1);
SELECT * FROM miscounted();
SELECT rag_drop_collection('seen');
SELECT * FROM miscounted();
SELECT count(*) AS left_over FROM rag.job_count WHERE generation_id IN (:generation_id, :built_generation_id);
DROP TABLE seen;
DROP FUNCTION state, reads_all, pages, miscounted;
DROP ROLE regress_status_reader;
