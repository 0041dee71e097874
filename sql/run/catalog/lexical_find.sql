-- Run by catalog::lexical as whoever calls, reads catalogs only: where the extension $1 lies, whether the role $2 may
-- use what lies there, and its index over the table $3, if there is one that may be used.
SELECT pg_catalog.quote_ident(n.nspname) AS schema_sql,
       e.extversion AS version,
       pg_catalog.has_schema_privilege($2::oid, n.oid, 'USAGE') AS may_use,
       (SELECT i.indexrelid
          FROM pg_catalog.pg_index i
          JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
          JOIN pg_catalog.pg_depend d
            ON d.classid = 'pg_catalog.pg_am'::pg_catalog.regclass AND d.objid = c.relam AND d.deptype = 'e'
               AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
         WHERE i.indrelid = $3 AND i.indisvalid AND i.indisready AND i.indislive AND i.indpred IS NULL
         ORDER BY i.indexrelid DESC
         LIMIT 1) AS index
  FROM pg_catalog.pg_extension e
  JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = $1::name
