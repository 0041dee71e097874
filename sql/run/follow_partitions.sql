-- Run by rag_follow_ddl: tables that lack the collection's triggers, and tables that should not have
-- them any more (second column).
SELECT coalesce(p.relid::oid, t.tgrelid), p.relid IS NULL
  FROM pg_catalog.pg_partition_tree($2::oid::regclass) p
  FULL JOIN (SELECT g.tgrelid FROM pg_catalog.pg_trigger g
              WHERE g.tgname = pg_catalog.format('rag_pg_%s_insert', $1)::name) t
    ON t.tgrelid = p.relid::oid
 WHERE p.relid IS NULL OR t.tgrelid IS NULL
