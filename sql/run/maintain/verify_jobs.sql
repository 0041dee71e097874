-- Run by rag_verify as the extension's owner: which of the keys $2 have a job, dead or alive.
SELECT j.key
  FROM rag.job j
 WHERE j.generation_id OPERATOR(pg_catalog.=) $1
   AND rag.source_hash(NULL, j.key) OPERATOR(pg_catalog.=) ANY (
           ARRAY (SELECT rag.source_hash(NULL, k.key) FROM pg_catalog.unnest($2) AS k (key)))
