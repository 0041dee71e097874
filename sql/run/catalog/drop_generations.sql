-- Run by rag_follow_ddl before a table ($1) is dropped, as the caller: generations of collections of it that the caller
-- may drop.
SELECT g.generation_id
  FROM rag.collection c
  JOIN rag.generation g ON g.collection_id OPERATOR(pg_catalog.=) c.collection_id
  JOIN pg_catalog.pg_class r ON r.oid OPERATOR(pg_catalog.=) c.source
 WHERE c.source::pg_catalog.oid OPERATOR(pg_catalog.=) $1 AND pg_catalog.pg_has_role(r.relowner, 'USAGE')
