-- Run by workers and rag_work as the extension's owner. Requests whose process is gone are not begun again: the provider may
-- have answered, and be paid.
UPDATE rag.submitted_answer s
   SET state = 'failed', finished_at = pg_catalog.clock_timestamp(), passages = '{}', places = '[]', fallback = NULL, sqlstate = '57P02',
       message = 'the process that asked the model ended before it answered',
       hint = 'The model''s provider may charge for it. Submit the question again if the answer is still wanted.'
  FROM (SELECT request_id FROM rag.submitted_answer r
         WHERE state = 'running'
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(NULL) a
                            WHERE a.pid = r.worker AND a.backend_start IS NOT DISTINCT FROM r.worker_started)
           FOR UPDATE SKIP LOCKED) AS lost
 WHERE s.request_id = lost.request_id
RETURNING s.request_id
