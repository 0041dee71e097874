-- Run by rag_create_collection of a distributed collection; reads catalogs only: which of the columns $2, as servers name them, a partition of $1
-- calls otherwise, or lacks.
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS leaf_sql, k.name
  FROM pg_catalog.pg_partition_tree($1) t
  JOIN pg_catalog.pg_class c ON c.oid = t.relid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN pg_catalog.unnest($2::text[]) AS k (name)
 WHERE t.isleaf AND c.relkind <> 'p'
   AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attname = k.name::name AND NOT a.attisdropped
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_options_to_table(a.attfdwoptions) o
                           WHERE o.option_name = 'column_name' AND o.option_value <> k.name))
 ORDER BY c.oid, k.name
 LIMIT 1
