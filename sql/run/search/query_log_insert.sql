-- Run by rag_search and rag_answer as the extension's owner, in the caller's transaction: finished values only.
INSERT INTO rag.logged_query (collection_id, generation_id, role, kind, query, options, model, fingerprint,
                              found, candidates, answer, status, confidence, milliseconds)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
RETURNING query_id
