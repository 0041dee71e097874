-- Part of statements about triggers: the extension's rag_ingest(), by which its triggers are known. A name proves nothing.
SELECT d.objid
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid AND x.extname = 'rag_pg'
  JOIN pg_catalog.pg_proc f ON f.oid = d.objid AND f.proname = 'rag_ingest'
 WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass::oid AND d.deptype = 'e'
   AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass::oid
