-- Run by rag_import_embeddings as the caller; reads catalogs only: a column ($2) of a relation ($1), and whether it can be read as a text and as an
-- array of numbers.
SELECT pg_catalog.format_type(a.atttypid, a.atttypmod),
       t.typcategory OPERATOR(pg_catalog.=) 'S',
       a.atttypid OPERATOR(pg_catalog.=) ANY (ARRAY [1021, 1022, 1231]::pg_catalog.oid[])
       OR EXISTS (SELECT FROM pg_catalog.pg_depend d
                    JOIN pg_catalog.pg_extension x ON x.oid OPERATOR(pg_catalog.=) d.refobjid AND x.extname OPERATOR(pg_catalog.=) 'vector'
                   WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid
                     AND d.objid OPERATOR(pg_catalog.=) t.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
                     AND t.typname OPERATOR(pg_catalog.=) ANY ('{vector, halfvec}'::pg_catalog.name[]))
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_type y ON y.oid OPERATOR(pg_catalog.=) a.atttypid
  JOIN pg_catalog.pg_type t
    ON t.oid OPERATOR(pg_catalog.=) CASE WHEN y.typbasetype OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN y.oid ELSE y.typbasetype END
 WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attname OPERATOR(pg_catalog.=) $2::pg_catalog.name
   AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
