-- Run by pg::answer_request as the extension's owner: when the next request is ready, in microseconds of a timestamptz;
-- NULL where none waits. A running one that nobody is at counts as ready.
SELECT pg_catalog.min(ready_at)
  FROM (SELECT ready_at FROM rag.submitted_answer WHERE state = 'queued'
        UNION ALL
        SELECT started_at FROM rag.submitted_answer r
         WHERE state = 'running'
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(NULL) a
                            WHERE a.pid = r.worker AND a.backend_start IS NOT DISTINCT FROM r.worker_started)) AS t
