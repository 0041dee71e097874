-- Run by rag_drop_model with the rights of the extension's owner: a collection that a remote model's vectors
-- are in.
SELECT c.name
  FROM rag.generation g
  JOIN rag.collection c USING (collection_id)
  JOIN rag.remote_model m ON m.name = g.model AND m.fingerprint = g.fingerprint
 WHERE m.name = $1
 ORDER BY c.name
 LIMIT 1
