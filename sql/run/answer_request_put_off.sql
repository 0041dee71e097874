-- Run by pg::answer_request as the extension's owner: a request that its provider did not take yet waits for $2 seconds.
-- $3 SQLSTATE and $4 message tell why. The result is that of answer_request_finish.sql.
WITH mine AS (
    SELECT request_id FROM rag.submitted_answer
     WHERE request_id = $1 AND state = 'running' AND worker = pg_catalog.pg_backend_pid()
       FOR UPDATE SKIP LOCKED
), done AS (
    UPDATE rag.submitted_answer s
       SET state = 'queued', attempts = attempts + 1, worker = NULL, sqlstate = $3, message = $4,
           ready_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2)
      FROM mine
     WHERE s.request_id = mine.request_id
)
SELECT EXISTS (SELECT FROM mine)
       OR NOT EXISTS (SELECT FROM rag.submitted_answer
                       WHERE request_id = $1 AND state = 'running' AND worker = pg_catalog.pg_backend_pid()),
       EXISTS (SELECT FROM mine)
