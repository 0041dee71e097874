-- Run by ingest::queue::lease as the extension's owner, in a transaction of its own before it begins with some of the claimed
-- documents: $1 are begun, $2 are not any more.
UPDATE rag.job j SET losses = j.losses + CASE WHEN j.token = ANY ($1) THEN 1 ELSE -1 END
  FROM (SELECT token FROM rag.job WHERE token = ANY ($1 || $2)
         ORDER BY generation_id, key FOR UPDATE SKIP LOCKED) AS mine
 WHERE j.token = mine.token
