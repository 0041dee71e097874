-- Run by rag_verify as the source's owner: documents with a chunk without token bits count as made from
-- another text. Until a worker made such chunks anew, searches find them by vector and text.
UPDATE {documents} d SET source_hash = ''
 WHERE EXISTS (SELECT FROM pg_catalog.unnest(d.chunk_ids) AS n (chunk_id)
                WHERE NOT EXISTS (SELECT FROM {bits} b WHERE b.chunk_id = n.chunk_id))
