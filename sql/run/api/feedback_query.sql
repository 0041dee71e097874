-- Run by rag_feedback as the extension's owner: the collection and the role of query $1.
SELECT q.collection_id, q.role::text AS asker FROM rag.logged_query q WHERE q.query_id OPERATOR(pg_catalog.=) $1
