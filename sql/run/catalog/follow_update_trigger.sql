-- Run by rag_follow_ddl: whether a source ($2) has the collection's trigger (its name is $3; the collection's $1) for updates of
-- certain columns.
SELECT 1
  FROM ({own_triggers}) t
 WHERE t.tgrelid = $2 AND t.tgname = $3::name AND pg_catalog.cardinality(t.tgattr::int2[]) > 0
