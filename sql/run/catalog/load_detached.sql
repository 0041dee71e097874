-- Run by rag_attach_collection as the extension's owner: the collection of a name ($1), attached or not, and whose its tables are.
SELECT c.collection_id AS id, c.detached_at IS NOT NULL AS is_detached, c.content_kind,
       (SELECT s.oid FROM pg_catalog.pg_class s WHERE s.oid = c.source) AS source,
       d.oid AS documents, d.relowner AS owner
  FROM rag.collection c
  LEFT JOIN (rag.generation g JOIN pg_catalog.pg_class d ON d.oid = g.documents)
    ON g.collection_id = c.collection_id AND g.state = 'active'
 WHERE c.name = $1 COLLATE "C"
