-- Run by rag_verify as the extension's owner: keys of a collection's changes that are no jobs yet.
SELECT k.key
  FROM rag.change c CROSS JOIN LATERAL pg_catalog.unnest(c.keys) AS k (key)
 WHERE c.collection_id OPERATOR(pg_catalog.=) $1
