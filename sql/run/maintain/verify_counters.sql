-- Run by rag_verify as the extension's owner, in the snapshot in which documents and chunks were counted.
SELECT p.indexed, p.chunks FROM rag.progress p WHERE p.generation_id OPERATOR(pg_catalog.=) $1
