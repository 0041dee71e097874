-- Run by the triggers of rag.job as the extension's owner, in the transaction of the statement that inserted
-- ($1 = 1) or deleted ($1 = -1) these jobs.
INSERT INTO rag.job_count (generation_id, open, dead, new)
SELECT j.generation_id,
       $1 OPERATOR(pg_catalog.*) pg_catalog.count(*) FILTER (WHERE NOT j.is_dead),
       $1 OPERATOR(pg_catalog.*) pg_catalog.count(*) FILTER (WHERE j.is_dead),
       $1 OPERATOR(pg_catalog.*) pg_catalog.count(*) FILTER (WHERE j.is_new)
  FROM jobs j
 GROUP BY j.generation_id
