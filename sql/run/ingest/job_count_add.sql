-- Run as the extension's owner by the trigger of rag.job that sees a job counted otherwise from now on, and by
-- rag_verify. $1 generation; what is to be added: $2 jobs that are not dead, $3 dead ones, $4 new documents.
INSERT INTO rag.job_count (generation_id, open, dead, new) VALUES ($1, $2, $3, $4)
