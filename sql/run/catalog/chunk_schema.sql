-- Run by rag_create_collection and rag_alter_collection; reads catalogs only: a schema ($1), whether it is no user's, and whether a role ($2) may
-- create tables in it.
SELECT pg_catalog.quote_ident(n.nspname),
       n.nspname IN ('information_schema', 'rag') OR pg_catalog.starts_with(n.nspname::text, 'pg_'),
       pg_catalog.has_schema_privilege($2::oid, n.oid, 'CREATE') AND pg_catalog.has_schema_privilege($2::oid, n.oid, 'USAGE')
  FROM pg_catalog.pg_namespace n
 WHERE n.nspname = $1::name
