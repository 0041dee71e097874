-- Run by rag_follow_ddl at the end of a command: collections whose source, or a partition or child of it or a table that
-- it is a partition of, the command altered or created, or took away from it, or gave a trigger. Not while a dump is being restored: column
-- numbers of a restored table are others, until rag_verify.
-- Release 0.1.0 had no column detached_at, and this runs before its databases are upgraded.
WITH touched AS (
    SELECT d.objid AS relid
      FROM pg_catalog.pg_event_trigger_ddl_commands() d
     WHERE d.classid = 'pg_catalog.pg_class'::regclass
     UNION
    SELECT t.tgrelid
      FROM pg_catalog.pg_event_trigger_ddl_commands() d
      JOIN pg_catalog.pg_trigger t ON t.oid = d.objid
     WHERE d.classid = 'pg_catalog.pg_trigger'::regclass AND t.tgfoid NOT IN ({ingest})
)
SELECT DISTINCT c.collection_id
  FROM touched t
  JOIN rag.collection c
    ON c.source::oid = t.relid
    OR c.source::oid IN (SELECT a.relid::oid FROM pg_catalog.pg_partition_ancestors(t.relid::regclass) a)
    OR c.source::oid IN (SELECT p.relid::oid FROM pg_catalog.pg_partition_tree(t.relid::regclass) p)
    OR c.source::oid IN (SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = t.relid)
 WHERE c.home = rag.home(c.source) AND pg_catalog.to_jsonb(c) OPERATOR(pg_catalog.->>) 'detached_at' IS NULL
