-- Run by workers as the extension's owner at their start: releases the jobs of backends that are gone before their lease ends.
-- The new token shuts out a claimant that is alive after all. A document that crashes its worker, and with it all sessions of the
-- server, must not do so for ever: ingest/claim.sql claims jobs that were lost twice one by one, which clears those that were
-- only claimed together with it, and a job that was lost five times is dead.
UPDATE rag.job j
   SET token = pg_catalog.nextval('rag.token'), worker = NULL, ready_at = pg_catalog.now(),
       is_dead = j.losses >= 5,
       failure = CASE WHEN j.losses >= 5 THEN 'row' ELSE j.failure END,
       reason = CASE WHEN j.losses >= 5
                     THEN pg_catalog.format('the backend that worked on it ended unexpectedly, %s times', j.losses)
                     ELSE j.reason END
  FROM (SELECT generation_id, rag.source_hash(NULL, key) AS key_hash FROM rag.job
         WHERE worker IS NOT NULL
           AND worker NOT IN (SELECT a.pid FROM pg_catalog.pg_stat_get_activity(NULL) a)
         ORDER BY generation_id, key FOR UPDATE SKIP LOCKED) AS lost
 WHERE j.generation_id = lost.generation_id AND rag.source_hash(NULL, j.key) = lost.key_hash
