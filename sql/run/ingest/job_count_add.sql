-- Run as the extension's owner by the row trigger of rag.job, and by rag_verify. $1 generation; differences: $2 jobs that are
-- not dead, $3 dead jobs, $4 new documents.
INSERT INTO rag.job_count (generation_id, open, dead, new) VALUES ($1, $2, $3, $4)
