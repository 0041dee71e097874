-- Run by workers as the extension's owner, in a transaction of its own: claims jobs of a generation.
-- $1 generation, $2 most jobs, $3 seconds of the lease. The loss is counted beforehand, since a crash leaves no process to
-- count it; a normal end subtracts it. A job that was lost twice is claimed alone: if its document is the cause, no other job
-- is lost with it.
WITH next AS (
    SELECT losses > 1 AS is_suspect FROM rag.job
     WHERE generation_id = $1 AND NOT is_dead AND ready_at <= pg_catalog.clock_timestamp()
     ORDER BY ready_at LIMIT 1
), ready AS (
    SELECT token FROM rag.job
     WHERE generation_id = $1 AND NOT is_dead AND ready_at <= pg_catalog.clock_timestamp()
       AND (losses > 1) = (SELECT is_suspect FROM next)
     ORDER BY ready_at
     LIMIT CASE WHEN (SELECT is_suspect FROM next) THEN 1 ELSE $2 END
       FOR UPDATE SKIP LOCKED
)
UPDATE rag.job j
   SET token = pg_catalog.nextval('rag.token'),
       ready_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3),
       worker = pg_catalog.pg_backend_pid(),
       begun_at = pg_catalog.clock_timestamp(),
       losses = j.losses + 1,
       page = NULL,
       pages = NULL
  FROM ready
 WHERE j.token = ready.token
RETURNING j.key, j.token, j.attempts, j.doubtful
