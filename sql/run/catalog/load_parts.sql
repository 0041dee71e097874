-- Run for every use of a distributed collection, as whoever calls; reads catalogs only: the partitions of $1 that hold rows, as they are
-- attached now, and what their foreign tables say of the table on the other side and its column $2.
SELECT c.oid AS leaf,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS leaf_sql,
       c.relname::text AS name,
       f.ftserver AS server,
       pg_catalog.quote_ident(COALESCE(
           (SELECT o.option_value FROM pg_catalog.pg_options_to_table(f.ftoptions) o WHERE o.option_name = 'schema_name'), n.nspname))
       || '.' ||
       pg_catalog.quote_ident(COALESCE(
           (SELECT o.option_value FROM pg_catalog.pg_options_to_table(f.ftoptions) o WHERE o.option_name = 'table_name'), c.relname)) AS remote,
       COALESCE((SELECT o.option_value
                   FROM pg_catalog.pg_attribute a
                  CROSS JOIN LATERAL pg_catalog.pg_options_to_table(a.attfdwoptions) o
                  WHERE a.attrelid = c.oid AND a.attname = $2::name AND o.option_name = 'column_name'), $2) AS content
  FROM pg_catalog.pg_partition_tree($1) t
  JOIN pg_catalog.pg_class c ON c.oid = t.relid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = c.oid
 WHERE t.isleaf AND c.relkind <> 'p'
 ORDER BY c.oid
