-- A document that ends whoever works on it: with the others of its claim it comes back, twice; then each is
-- worked on alone, and the one at fault is given up. Claims of a process that is gone are made by hand.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = notice;
CREATE TABLE lost (id int PRIMARY KEY, body text);
SELECT rag_create_collection('lost', 'lost', 'body', index => 'none');
CALL rag_work();
CREATE VIEW lost_jobs AS
SELECT j.key, j.losses, j.is_dead, j.worker IS NULL AS is_free, j.failure, j.reason
  FROM rag.job j JOIN rag.generation USING (generation_id) JOIN rag.collection USING (collection_id)
 WHERE name = 'lost' ORDER BY j.key;
INSERT INTO lost SELECT i, 'Text ' || i FROM generate_series(1, 4) i;
-- What a worker that is gone had begun: some for the first time, some more often.
INSERT INTO rag.job (generation_id, key, is_new, queued_at, ready_at, worker, losses)
SELECT generation_id, format('["%s"]', n), true, now(), now() + interval '1 minute', 2147483647, n + 1
  FROM rag.generation JOIN rag.collection USING (collection_id), generate_series(1, 4) n WHERE name = 'lost';
DELETE FROM rag.change;
CALL rag_work();
SELECT * FROM lost_jobs;
SELECT id, content FROM lost_chunks ORDER BY id;
-- A change clears it, and so does rag_retry.
SELECT rag_retry('lost');
SELECT key, losses, is_dead FROM lost_jobs;
CALL rag_work();
SELECT id, content FROM lost_chunks WHERE id = 4;
SELECT * FROM lost_jobs;
DROP VIEW lost_jobs;
SELECT rag_drop_collection('lost');
DROP TABLE lost;
