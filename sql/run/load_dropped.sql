-- Run by rag_drop_collection, which must also work when the source or the tables are gone: whose
-- the collection's objects are, and which of them are still there.
SELECT c.collection_id,
       coalesce(s.relowner, d.relowner, x.extowner),
       (SELECT v.oid FROM pg_catalog.pg_class v WHERE v.oid = c.view),
       ARRAY (SELECT t.oid FROM rag.generation g
               CROSS JOIN LATERAL pg_catalog.unnest(
                   ARRAY [g.documents::oid, g.chunks::oid, g.bits::oid]) AS k (oid)
                JOIN pg_catalog.pg_class t ON t.oid = k.oid
               WHERE g.collection_id = c.collection_id),
       ARRAY (SELECT DISTINCT t.tgrelid FROM pg_catalog.pg_trigger t
               WHERE pg_catalog.starts_with(t.tgname::text, pg_catalog.format('rag_pg_%s_', c.collection_id))),
       ARRAY (SELECT g.generation_id FROM rag.generation g WHERE g.collection_id = c.collection_id)
  FROM rag.collection c
  JOIN pg_catalog.pg_extension x ON x.extname = 'rag_pg'
  LEFT JOIN pg_catalog.pg_class s ON s.oid = c.source
  LEFT JOIN (rag.generation g JOIN pg_catalog.pg_class d ON d.oid = g.documents)
    ON g.collection_id = c.collection_id
 WHERE c.name = $1 COLLATE "C"
 LIMIT 1
