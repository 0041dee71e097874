-- Run by rag_verify as the source's owner: chunks without token bits, but those of documents that are to be
-- made anew already.
SELECT pg_catalog.count(1)
  FROM (SELECT pg_catalog.unnest(d.chunk_ids) AS chunk_id FROM {documents} d WHERE d.source_hash <> '') n
 WHERE NOT EXISTS (SELECT FROM {bits} b WHERE b.chunk_id = n.chunk_id)
