-- Run by ingest::queue::lease as the extension's owner: prolongs the leases of $1 by $2 seconds, and shows a sign
-- of life. Jobs being changed right now are about to get a new token anyway.
WITH mine AS (
    SELECT token FROM rag.job
     WHERE token = ANY ($1) ORDER BY generation_id, key FOR UPDATE SKIP LOCKED
), renewed AS (
    UPDATE rag.job j SET ready_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2)
      FROM mine WHERE j.token = mine.token
)
UPDATE rag.progress SET heartbeat = pg_catalog.clock_timestamp(), worker = pg_catalog.pg_backend_pid()
 WHERE generation_id = $3
