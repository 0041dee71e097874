-- Run by catalog::lexical::care as the source's owner before it drops them: indexes of the extension $1 over the words of the chunks $2,
-- those left by a failed build too.
SELECT i.indexrelid
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_am'::pg_catalog.regclass::oid AND d.objid = c.relam AND d.deptype = 'e'
       AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass::oid
  JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = $1::name
 WHERE i.indrelid = $2
