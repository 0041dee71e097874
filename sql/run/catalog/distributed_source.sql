-- Run by rag_create_collection as whoever calls; reads catalogs only: a partitioned table, its owner and how many of its partitions are
-- foreign tables.
SELECT r.relowner AS owner,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_partition_tree(r.oid) t
          JOIN pg_catalog.pg_class c ON c.oid = t.relid
         WHERE c.relkind = 'f') AS foreign_parts
  FROM pg_catalog.pg_class r
 WHERE r.oid = $1 AND r.relkind = 'p'
