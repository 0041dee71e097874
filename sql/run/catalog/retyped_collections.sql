-- Run by rag_follow_ddl before ALTER COLUMN ... TYPE, with the rights of who calls; reads catalogs only: attached collections of a table ($1) that are made of
-- one of these columns ($2).
SELECT c.name, a.attname::pg_catalog.text
  FROM rag.collection c
  JOIN pg_catalog.pg_attribute a
    ON a.attrelid OPERATOR(pg_catalog.=) c.source AND a.attnum OPERATOR(pg_catalog.=) ANY (c.column_numbers)
       AND a.attnum OPERATOR(pg_catalog.>) 0 AND a.attname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($2)
 WHERE c.source::pg_catalog.oid OPERATOR(pg_catalog.=) $1 AND c.detached_at IS NULL
 ORDER BY c.name, a.attnum
