-- The vector index against an exact scan. The search path is the caller's.
SELECT pg_catalog.to_jsonb(t) FROM :"schema".rag_recall(:'collection', queries => :queries, k => 10) t;
