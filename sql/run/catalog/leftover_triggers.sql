-- Run by rag_create_collection before it creates triggers: tables among the source ($2) and its partitions that have
-- triggers of a collection of this name ($1).
SELECT DISTINCT t.tgrelid
  FROM ({own_triggers}) t
 WHERE t.tgparentid = 0
   AND (t.tgrelid = $2 OR t.tgrelid IN (SELECT p.relid::oid FROM pg_catalog.pg_partition_tree($2::pg_catalog.regclass) p))
