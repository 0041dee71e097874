-- Run by workers as the extension's owner: releases claimed jobs ($1) as they were before, to be claimed in $3 seconds; a crash was
-- charged to $2.
UPDATE rag.job j
   SET worker = NULL, ready_at = pg_catalog.now() + pg_catalog.make_interval(secs => $3),
       losses = j.losses - CASE WHEN j.token = ANY ($2) THEN 1 ELSE 0 END
  FROM (SELECT token FROM rag.job WHERE token = ANY ($1)
         ORDER BY generation_id, key FOR UPDATE SKIP LOCKED) AS mine
 WHERE j.token = mine.token
