-- Run by pg::answer_request as the extension's owner: writes what came of a request, if this process still has it. A user
-- who is about to cancel it is not waited for: false says that it has to be written later.
-- $1 request, $2 state, $3 answer, $4 citations, $5 status, $6 claims, $7 usage, $8 SQLSTATE, $9 message, $10 detail, $11 hint.
WITH mine AS (
    SELECT request_id FROM rag.submitted_answer
     WHERE request_id = $1 AND state = 'running' AND worker = pg_catalog.pg_backend_pid()
       FOR UPDATE SKIP LOCKED
), done AS (
    UPDATE rag.submitted_answer s
       SET state = $2, answer = $3, citations = $4, status = $5, claims = $6, usage = $7, sqlstate = $8, message = $9,
           detail = $10, hint = $11, finished_at = pg_catalog.clock_timestamp(), passages = '{}', places = '[]'
      FROM mine
     WHERE s.request_id = mine.request_id
)
SELECT EXISTS (SELECT FROM mine)
       OR NOT EXISTS (SELECT FROM rag.submitted_answer
                       WHERE request_id = $1 AND state = 'running' AND worker = pg_catalog.pg_backend_pid()),
       EXISTS (SELECT FROM mine)
