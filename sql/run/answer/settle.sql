-- Run by workers and rag_work as the extension's owner: writes the result of request $1, if this process still has it. Does not wait for a session
-- that is about to cancel it.
WITH mine AS (
    SELECT request_id FROM rag.submitted_answer
     WHERE request_id = $1 AND state = 'running' AND worker = pg_catalog.pg_backend_pid()
       FOR UPDATE SKIP LOCKED
), done AS (
    UPDATE rag.submitted_answer s
       SET {change}
      FROM mine
     WHERE s.request_id = mine.request_id
)
SELECT EXISTS (SELECT FROM mine)
       OR NOT EXISTS (SELECT FROM rag.submitted_answer
                       WHERE request_id = $1 AND state = 'running' AND worker = pg_catalog.pg_backend_pid()) AS is_over,
       EXISTS (SELECT FROM mine) AS is_written
