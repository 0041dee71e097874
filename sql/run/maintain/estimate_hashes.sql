-- Run by rag_estimate and rag_rebuild as the source's owner: hashes of chunks that a generation has of
-- sampled documents.
SELECT k.ordinal::int, c.content_hash
  FROM {keys} JOIN {sibling} c ON {chunk_equal}
