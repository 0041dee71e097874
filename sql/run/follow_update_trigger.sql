-- Run by rag_follow_ddl: whether a source ($2) has a trigger of the collection ($1) for updates of certain columns.
SELECT 1
  FROM pg_catalog.pg_trigger t
 WHERE t.tgrelid = $2 AND t.tgname = pg_catalog.format('rag_pg_%s_update', $1::int)::name
   AND pg_catalog.cardinality(t.tgattr::int2[]) > 0
