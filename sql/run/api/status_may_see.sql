-- Run by rag.jobs_of_both() as the caller: whether the caller may see the progress of both generations'
-- collections, as in rag.generation_status.
SELECT pg_catalog.count(*) OPERATOR(pg_catalog.=) 2
  FROM rag.generation g
  JOIN rag.collection c ON c.collection_id OPERATOR(pg_catalog.=) g.collection_id
  JOIN pg_catalog.pg_class r ON r.oid OPERATOR(pg_catalog.=) c.source
 WHERE (g.generation_id OPERATOR(pg_catalog.=) $1 OR g.generation_id OPERATOR(pg_catalog.=) $2)
   AND (pg_catalog.pg_has_role(r.relowner, 'USAGE') OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
        OR pg_catalog.has_table_privilege(g.chunks, 'SELECT') AND NOT pg_catalog.row_security_active(r.oid))
