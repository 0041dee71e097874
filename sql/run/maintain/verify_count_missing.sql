-- Run by rag_verify as the source's owner: chunks that a document names and that are not there.
SELECT pg_catalog.count(1)
  FROM (SELECT pg_catalog.unnest(d.chunk_ids) AS chunk_id FROM {documents} d) n
 WHERE NOT EXISTS (SELECT FROM {chunks} c WHERE c.chunk_id = n.chunk_id)
