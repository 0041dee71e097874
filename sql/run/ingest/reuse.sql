-- Run by workers as the source's owner: embeddings that another generation of the collection has of chunks of these documents.
-- A hash covers all that is embedded. The parameter of hashes follows the keys.
SELECT DISTINCT ON (k.ordinal, c.content_hash)
       k.ordinal::int AS document, c.content_hash, c.embedding::real[] AS embedding, {bits} AS bits
  FROM {keys}
  JOIN {sibling} c ON {chunk_equal} AND c.content_hash = ANY ({hashes}::bytea[])
 {join_bits}
 ORDER BY k.ordinal, c.content_hash
