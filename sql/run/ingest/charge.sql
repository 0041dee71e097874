-- Run by workers as the extension's owner, in a transaction before work on some of the claimed jobs begins: a crash from now
-- on is charged to the jobs $1, and not to $2.
UPDATE rag.job j
   SET losses = j.losses + CASE WHEN j.token = ANY ($1) THEN 1 ELSE -1 END,
       begun_at = CASE WHEN j.token = ANY ($1) THEN pg_catalog.clock_timestamp() END
  FROM (SELECT token FROM rag.job WHERE token = ANY ($1 || $2)
         ORDER BY generation_id, key FOR UPDATE SKIP LOCKED) AS mine
 WHERE j.token = mine.token
