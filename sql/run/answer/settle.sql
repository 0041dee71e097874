-- Run by answer::request as the extension's owner: writes what came of request $1, if this process still has it. A user who is about
-- to cancel it is not waited for. Two booleans: whether there is nothing left to be written, and whether this was written.
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
                       WHERE request_id = $1 AND state = 'running' AND worker = pg_catalog.pg_backend_pid()),
       EXISTS (SELECT FROM mine)
