-- Run by workers as the extension's owner: renews the leases of the tokens $1 by $2 seconds, and sets the heartbeat of the
-- generation $3. Jobs that are locked are about to get a new token.
WITH mine AS (
    SELECT token FROM rag.job
     WHERE token = ANY ($1) ORDER BY generation_id, key FOR UPDATE SKIP LOCKED
), renewed AS (
    UPDATE rag.job j SET ready_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2)
      FROM mine WHERE j.token = mine.token
)
UPDATE rag.progress SET heartbeat = pg_catalog.clock_timestamp(), worker = pg_catalog.pg_backend_pid()
 WHERE generation_id = $3
