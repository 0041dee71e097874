-- Run by rag_follow_ddl and rag_verify: the collection's objects that do not belong to the source's owner.
SELECT r.oid, r.relkind::text, pg_catalog.quote_ident(w.rolname)
  FROM rag.collection c
  JOIN pg_catalog.pg_class s ON s.oid = c.source
  JOIN pg_catalog.pg_roles w ON w.oid = s.relowner
 CROSS JOIN LATERAL (SELECT c.view::oid
                     UNION ALL
                     SELECT t.oid FROM rag.generation g
                      CROSS JOIN LATERAL pg_catalog.unnest(
                          ARRAY [g.documents::oid, g.chunks::oid, g.bits::oid, g.segments::oid, g.postings::oid]) AS t (oid)
                      WHERE g.collection_id = c.collection_id) AS o (oid)
  JOIN pg_catalog.pg_class r ON r.oid = o.oid
 WHERE c.collection_id = $1 AND r.relowner <> s.relowner
