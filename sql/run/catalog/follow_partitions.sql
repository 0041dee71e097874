-- Run by rag_follow_ddl as the extension's owner: tables of the source ($2) of a collection ($3, its name is $1) that are not as
-- they should be: whether each belongs to the source, and whether it has the trigger that every table of it has ($4).
SELECT COALESCE(p.relid::oid, r.partition::oid), p.relid IS NOT NULL, t.tgrelid IS NOT NULL
  FROM pg_catalog.pg_partition_tree($2::pg_catalog.regclass) p
  FULL JOIN (SELECT s.partition FROM rag.source_partition s WHERE s.collection_id = $3) r ON r.partition::oid = p.relid::oid
  LEFT JOIN ({own_triggers}) t ON t.tgrelid = COALESCE(p.relid::oid, r.partition::oid) AND t.tgname = $4::name
 WHERE p.relid IS NULL OR t.tgrelid IS NULL OR r.partition IS NULL AND p.relid::oid <> $2
