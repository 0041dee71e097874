-- Quality by stage. The search path is the caller's: policies of the source may depend on it.
SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t))
  FROM :"schema".rag_evaluate(:'collection', NULLIF(:'questions', '')::pg_catalog.oid::pg_catalog.regclass, k => :k) t;
