-- Run by ingest::queue::changes as the extension's owner, in the transaction that starts a comparison: what was
-- read before it began must not be applied after it passed, and what was given up gets another chance.
UPDATE rag.job j
   SET token = pg_catalog.nextval('rag.token'), ready_at = pg_catalog.now(), worker = NULL,
       is_dead = false, attempts = 0, losses = 0, failure = NULL, reason = NULL, excerpt = NULL
  FROM (SELECT generation_id, rag.source_hash(NULL, key) AS key_hash FROM rag.job
         WHERE generation_id = ANY ($1) AND (worker IS NOT NULL OR is_dead)
         ORDER BY generation_id, key FOR UPDATE) AS stale
 WHERE j.generation_id = stale.generation_id AND rag.source_hash(NULL, j.key) = stale.key_hash
