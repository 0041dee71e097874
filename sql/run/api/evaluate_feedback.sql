-- Run by rag_evaluate as the caller, who sees the feedback on collections that they own: queries of
-- collection $1, and one relevant document a row.
SELECT f.query, f.document_key FROM rag.feedback f WHERE f.collection OPERATOR(pg_catalog.=) $1 AND f.relevant
