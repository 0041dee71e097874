-- Run by rag_work as the caller: collections whose source's owner the caller is, or is a member of.
SELECT c.collection_id
  FROM rag.collection c
  JOIN pg_catalog.pg_class r ON r.oid OPERATOR(pg_catalog.=) c.source
 WHERE pg_catalog.pg_has_role(r.relowner, 'USAGE')
