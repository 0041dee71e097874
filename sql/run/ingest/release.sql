-- Run by ingest::queue::lease as the extension's owner: gives claims ($1) back as they were before; $2 were begun.
UPDATE rag.job j
   SET worker = NULL, ready_at = pg_catalog.now(),
       losses = j.losses - CASE WHEN j.token = ANY ($2) THEN 1 ELSE 0 END
  FROM (SELECT token FROM rag.job WHERE token = ANY ($1)
         ORDER BY generation_id, key FOR UPDATE SKIP LOCKED) AS mine
 WHERE j.token = mine.token
