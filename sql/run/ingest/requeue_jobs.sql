-- Run by workers as the extension's owner, in the transaction that starts a scan: a document that was read before the scan
-- began must not be applied after the scan passed it, and dead jobs are retried.
UPDATE rag.job j
   SET token = pg_catalog.nextval('rag.token'), ready_at = pg_catalog.now(), worker = NULL,
       is_dead = false, attempts = 0, doubtful = 0, losses = 0, failure = NULL, reason = NULL, excerpt = NULL
  FROM (SELECT generation_id, rag.source_hash(NULL, key) AS key_hash FROM rag.job
         WHERE generation_id = ANY ($1) AND (worker IS NOT NULL OR is_dead)
         ORDER BY generation_id, key FOR UPDATE) AS stale
 WHERE j.generation_id = stale.generation_id AND rag.source_hash(NULL, j.key) = stale.key_hash
