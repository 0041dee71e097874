-- Run by rag_feedback as the extension's owner: whose query $1 is, and about which collection.
SELECT q.collection_id, q.role::text FROM rag.logged_query q WHERE q.query_id OPERATOR(pg_catalog.=) $1
