-- Run by searches: pgvector's schema and type.
SELECT pg_catalog.quote_ident(n.nspname) AS schema_sql, t.oid AS type_oid
  FROM pg_catalog.pg_extension e
  JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
  JOIN pg_catalog.pg_type t ON t.typnamespace = e.extnamespace AND t.typname = 'vector'
 WHERE e.extname = 'vector'
