-- Run by rag_verify as the source's owner: token bits without a chunk. Both are stored in one transaction.
DELETE FROM {bits} b WHERE NOT EXISTS (SELECT FROM {chunks} c WHERE c.chunk_id = b.chunk_id)
