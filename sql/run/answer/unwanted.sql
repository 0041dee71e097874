-- Run by workers and rag_work as the extension's owner: which of the requests $1 that run here were canceled.
SELECT w.request_id
  FROM pg_catalog.unnest($1::uuid[]) AS w (request_id)
 WHERE NOT EXISTS (SELECT FROM rag.submitted_answer s WHERE s.request_id = w.request_id AND s.state = 'running')
