-- Run by rag_follow_ddl after a DROP: collections whose source is gone, that lost a column of it, or a partition.
-- Release 0.1.0 had no column detached_at, and this runs before its databases are upgraded.
WITH dropped AS (
    SELECT o.objid, o.objsubid
      FROM pg_catalog.pg_event_trigger_dropped_objects() o
     WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass::oid
), hit AS (
    SELECT c.collection_id, d.objsubid = 0 AS is_source, d.objsubid = ANY (c.column_numbers) AS is_column, false AS is_partition
      FROM dropped d JOIN rag.collection c ON c.source::oid = d.objid
     UNION ALL
    SELECT s.collection_id, false, false, true
      FROM dropped d JOIN rag.source_partition s ON s.partition::oid = d.objid AND d.objsubid = 0
)
SELECT c.name, c.collection_id AS id, pg_catalog.bool_or(h.is_source) AS is_source,
       pg_catalog.bool_or(h.is_column) AS is_column, pg_catalog.bool_or(h.is_partition) AS is_partition
  FROM hit h JOIN rag.collection c ON c.collection_id = h.collection_id AND pg_catalog.to_jsonb(c) OPERATOR(pg_catalog.->>) 'detached_at' IS NULL
 GROUP BY c.name, c.collection_id
