-- Run by rag_follow_ddl at the end of a command: collections whose source, or a partition of it, the
-- command altered or created, or took away from it. Not while a dump is being restored: column numbers of
-- a restored table are others, until rag_verify.
SELECT DISTINCT c.collection_id
  FROM pg_catalog.pg_event_trigger_ddl_commands() d
  JOIN rag.collection c
    ON c.source::oid = d.objid
    OR c.source::oid IN (SELECT a.relid::oid FROM pg_catalog.pg_partition_ancestors(d.objid::regclass) a)
 WHERE d.classid = 'pg_catalog.pg_class'::regclass AND c.home = rag.home(c.source)
