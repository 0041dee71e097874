-- Run by rag_drop_collection, which must also work when the source or the tables are gone: whose
-- the collection's objects are, and which of them are still there. A former partition that is another's by now is left alone.
SELECT c.name,
       c.collection_id AS id,
       coalesce(s.relowner, d.relowner, x.extowner) AS owner,
       (SELECT v.oid FROM pg_catalog.pg_class v WHERE v.oid = c.view) AS view,
       ARRAY (SELECT t.oid FROM rag.generation g
               CROSS JOIN LATERAL pg_catalog.unnest(
                   ARRAY [g.documents::oid, g.chunks::oid, g.bits::oid, g.segments::oid, g.postings::oid]) AS k (oid)
                JOIN pg_catalog.pg_class t ON t.oid = k.oid
               WHERE g.collection_id = c.collection_id) AS tables,
       ARRAY (SELECT t.relid FROM (SELECT c.source::oid AS relid
                                    UNION
                                   SELECT p.relid::oid FROM pg_catalog.pg_partition_tree(c.source) p) t
                JOIN pg_catalog.pg_class r ON r.oid = t.relid
               UNION
              SELECT r.oid FROM rag.source_partition p
                JOIN pg_catalog.pg_class r ON r.oid = p.partition::oid AND r.relowner = s.relowner
               WHERE p.collection_id = c.collection_id) AS with_triggers,
       ARRAY (SELECT g.generation_id FROM rag.generation g WHERE g.collection_id = c.collection_id) AS generations
  FROM rag.collection c
  JOIN pg_catalog.pg_extension x ON x.extname = 'rag_pg'
  LEFT JOIN pg_catalog.pg_class s ON s.oid = c.source
  LEFT JOIN (rag.generation g JOIN pg_catalog.pg_class d ON d.oid = g.documents)
    ON g.collection_id = c.collection_id
 WHERE c.name = $1 COLLATE "C"
 LIMIT 1
