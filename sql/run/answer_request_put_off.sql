-- Run by pg::answer_request as the extension's owner: a request that its provider did not take yet waits for $2 seconds.
-- $3 SQLSTATE and $4 message tell why.
UPDATE rag.submitted_answer
   SET state = 'queued', attempts = attempts + 1, worker = NULL, sqlstate = $3, message = $4,
       ready_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2)
 WHERE request_id = $1 AND state = 'running' AND worker = pg_catalog.pg_backend_pid()
