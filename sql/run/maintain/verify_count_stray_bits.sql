-- Run by rag_verify as the source's owner: token bits without a chunk.
SELECT pg_catalog.count(1)
  FROM {bits} b
 WHERE NOT EXISTS (SELECT FROM {chunks} c WHERE c.chunk_id = b.chunk_id)
