-- Run by rag_feedback as the extension's owner, with finished values. A second judgement of a chunk by the same role
-- replaces the first.
INSERT INTO rag.logged_feedback (query_id, chunk_id, role, document_key, relevant)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (query_id, chunk_id, role)
DO UPDATE SET document_key = EXCLUDED.document_key, relevant = EXCLUDED.relevant, given_at = EXCLUDED.given_at
