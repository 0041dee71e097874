-- Run by rag_estimate and rag_rebuild as the extension's owner: documents of a collection ($1) as far as
-- all are known, and else rows of its source by the planner's statistics, if there are any.
SELECT COALESCE(
       (SELECT s.documents FROM rag.generation_status s
         WHERE s.generation = g.generation_id
           AND NOT EXISTS (SELECT FROM rag.scan n WHERE n.generation_id = g.generation_id)
           AND NOT EXISTS (SELECT FROM rag.change w WHERE w.collection_id = $1 AND w.keys IS NULL)),
       (SELECT NULLIF(GREATEST(pg_catalog.sum(r.reltuples), 0), 0)::bigint
          FROM pg_catalog.pg_class r
         WHERE r.relkind = 'r'
           AND (r.oid = c.source OR r.oid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(c.source) p))))
  FROM rag.collection c
  JOIN rag.generation g ON g.collection_id = c.collection_id AND g.state = 'active'
 WHERE c.collection_id = $1
