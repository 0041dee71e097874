-- Run by rag_verify as the extension's owner: which of the keys $2 have a job, dead or alive.
SELECT j.key
  FROM rag.job j
 WHERE j.generation_id OPERATOR(pg_catalog.=) $1
   AND j.key OPERATOR(pg_catalog.=) ANY ($2)
