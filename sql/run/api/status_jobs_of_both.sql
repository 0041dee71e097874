-- Run by rag.jobs_of_both() as the extension's owner: documents with a job of generation $1 and one of $2; $3: dead ones of
-- both, else those that are not dead in $1. Read are the jobs of $2: BETWEEN and OFFSET since the planner would take both
-- for as many as the larger has.
SELECT pg_catalog.count(*)
  FROM rag.job theirs
 WHERE theirs.generation_id BETWEEN $2 AND $2
   AND (theirs.is_dead OR NOT $3)
   AND EXISTS (SELECT FROM rag.job mine
                WHERE mine.generation_id = $1 AND rag.source_hash(NULL, mine.key) = rag.source_hash(NULL, theirs.key) AND mine.is_dead = $3 OFFSET 0)
