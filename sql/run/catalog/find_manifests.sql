-- Run by rag_attach_collection with the rights of who calls; reads catalogs only: tables of documents that no collection uses and that the caller may act
-- for, or one of them ($1). Their comments are anybody's words.
SELECT r.oid, r.relowner AS owner, d.description AS comment,
       EXISTS (SELECT FROM pg_catalog.pg_depend v
                 JOIN pg_catalog.pg_rewrite w ON w.oid = v.objid
                WHERE v.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid AND v.refobjid = r.oid
                  AND v.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid) AS is_viewed
  FROM pg_catalog.pg_class r
  JOIN pg_catalog.pg_description d
    ON d.objoid = r.oid AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.objsubid = 0
 WHERE r.relkind = 'r' AND pg_catalog.starts_with(d.description, 'rag_pg: documents of collection ') AND ($1::oid IS NULL OR r.oid = $1)
   AND pg_catalog.pg_has_role(r.relowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM rag.generation g WHERE g.documents::oid = r.oid)
 ORDER BY r.oid
