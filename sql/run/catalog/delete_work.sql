-- Run by rag_prune, rag_drop_collection and rag_detach_collection as the extension's owner, one statement at a time, $1 the
-- generations. Comparisons go first: one under way ends, and no other makes jobs that would be left over.
SELECT generation_id FROM rag.generation WHERE generation_id = ANY ($1) ORDER BY generation_id FOR UPDATE;
DELETE FROM rag.scan WHERE generation_id = ANY ($1);
DELETE FROM rag.job WHERE generation_id = ANY ($1);
DELETE FROM rag.job_count WHERE generation_id = ANY ($1);
DELETE FROM rag.imported_embedding WHERE generation_id = ANY ($1)
