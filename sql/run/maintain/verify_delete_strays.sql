-- Run by rag_verify as the source's owner, until none is left: some chunks that no document names. No document will: a worker keeps
-- chunks that its document names already.
DELETE FROM {chunks} c
 WHERE c.chunk_id IN (SELECT s.chunk_id FROM {chunks} s
                       WHERE NOT EXISTS (SELECT FROM (SELECT pg_catalog.unnest(d.chunk_ids) AS chunk_id FROM {documents} d) n
                                          WHERE n.chunk_id = s.chunk_id)
                       LIMIT 10000)
RETURNING c.chunk_id, c.lexemes
