-- Run by pg::worker as the extension's owner: gives claims back untouched.
UPDATE rag.job j SET worker = NULL, ready_at = pg_catalog.now()
  FROM (SELECT generation_id, key FROM rag.job WHERE token = ANY ($1)
         ORDER BY generation_id, key FOR UPDATE SKIP LOCKED) AS mine
 WHERE j.generation_id = mine.generation_id AND j.key = mine.key
