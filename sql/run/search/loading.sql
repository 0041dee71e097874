-- Run by searches as the extension's owner while the first load of a generation ($1) of a collection ($2) is not in:
-- documents that have chunks, documents without chunks yet, and whether there are changes that are no jobs
-- yet. No jobs are counted: there may be a million.
SELECT COALESCE((SELECT p.indexed FROM rag.progress p WHERE p.generation_id = $1), 0) AS indexed,
       COALESCE((SELECT pg_catalog.sum(n.new) - pg_catalog.sum(n.dead) FROM rag.job_count n WHERE n.generation_id = $1), 0)::bigint AS pending,
       EXISTS (SELECT FROM rag.scan s WHERE s.generation_id = $1)
       OR EXISTS (SELECT FROM rag.change w WHERE w.collection_id = $2) AS has_changes
