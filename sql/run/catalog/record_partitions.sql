-- Run as the extension's owner once triggers were created or dropped, one statement at a time: the partitions of the source ($2)
-- of a collection ($1) have its triggers, and no other table has.
DELETE FROM rag.source_partition s
 WHERE s.collection_id = $1
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree($2::pg_catalog.regclass) p WHERE p.relid::oid = s.partition::oid);
INSERT INTO rag.source_partition (collection_id, partition)
SELECT $1, p.relid FROM pg_catalog.pg_partition_tree($2::pg_catalog.regclass) p WHERE p.relid::oid <> $2
    ON CONFLICT DO NOTHING
