-- Run by rag_retry as the extension's owner: dead jobs and those that failed are ready now.
WITH failed AS (
    SELECT j.generation_id, rag.source_hash(NULL, j.key) AS key_hash
      FROM rag.job j JOIN rag.generation g USING (generation_id)
     WHERE g.collection_id = $1 AND j.worker IS NULL AND (j.is_dead OR j.attempts > 0)
     ORDER BY j.generation_id, j.key FOR UPDATE OF j
)
UPDATE rag.job j
   SET token = pg_catalog.nextval('rag.token'), ready_at = pg_catalog.now(), is_dead = false,
       attempts = 0, doubtful = 0, losses = 0, failure = NULL, reason = NULL, excerpt = NULL
  FROM failed
 WHERE j.generation_id = failed.generation_id AND rag.source_hash(NULL, j.key) = failed.key_hash
