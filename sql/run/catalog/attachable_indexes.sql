-- Run by rag_attach_collection; reads catalogs only: vector indexes of a table of chunks ($1) that are as rag_pg builds them by this
-- method ($2).
SELECT i.indexrelid
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = $2::name
  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'embedding'
  JOIN pg_catalog.pg_opclass o ON o.oid = (i.indclass::oid[])[0] AND o.opcname = 'halfvec_cosine_ops'
  JOIN pg_catalog.pg_extension x ON x.extname = 'vector' AND x.extnamespace = o.opcnamespace
 WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL AND i.indnatts = 1 AND i.indkey[0] = a.attnum
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::regclass::oid AND d.objid = i.indexrelid AND d.objsubid = 0
                      AND d.refclassid = 'pg_catalog.pg_extension'::regclass::oid AND d.deptype = 'x')
 ORDER BY i.indexrelid
