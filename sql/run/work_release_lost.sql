-- Run by pg::worker as the extension's owner when it starts: claims of backends that are gone come back
-- at once instead of when their lease ends. The new token shuts out a claimant that is there after all.
UPDATE rag.job j
   SET token = pg_catalog.nextval('rag.token'), worker = NULL, ready_at = pg_catalog.now()
  FROM (SELECT generation_id, key FROM rag.job
         WHERE worker IS NOT NULL
           AND worker NOT IN (SELECT a.pid FROM pg_catalog.pg_stat_get_activity(NULL) a)
         ORDER BY generation_id, key FOR UPDATE SKIP LOCKED) AS lost
 WHERE j.generation_id = lost.generation_id AND j.key = lost.key
