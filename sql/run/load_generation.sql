-- Run by pg::collection: generations of a collection ($1), or one of them ($2).
SELECT g.generation_id, g.collection_id, g.state, g.model, g.fingerprint, g.dimensions, g.max_tokens,
       g.overlap_tokens, g.format, g.token_bits, g.index_method, g.loaded_at IS NOT NULL,
       g.documents::oid, g.chunks::oid, g.bits::oid
  FROM rag.generation g
 WHERE CASE WHEN $1 IS NULL THEN g.generation_id = $2 ELSE g.collection_id = $1 END
 ORDER BY g.generation_id
