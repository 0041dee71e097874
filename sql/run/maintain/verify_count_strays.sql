-- Run by rag_verify as the source's owner: chunks that no document names.
SELECT pg_catalog.count(1)
  FROM {chunks} c
 WHERE NOT EXISTS (SELECT FROM (SELECT pg_catalog.unnest(d.chunk_ids) AS chunk_id FROM {documents} d) n
                    WHERE n.chunk_id = c.chunk_id)
