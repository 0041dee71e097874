-- Run by catalog::collection: generations of a collection ($1), or one of them ($2).
SELECT g.generation_id, g.collection_id, g.state, g.model, g.fingerprint, g.dimensions, g.max_tokens,
       g.overlap_tokens, g.format, g.token_bits, g.index_method, g.loaded_at IS NOT NULL,
       g.documents::oid, g.chunks::oid, g.bits::oid, coalesce(c.paused, g.paused) IS NOT NULL,
       g.index_wanted, g.lexical, g.lexical_checked_at, g.storage_format
  FROM rag.generation g
  JOIN rag.collection c ON c.collection_id OPERATOR(pg_catalog.=) g.collection_id
 WHERE g.collection_id OPERATOR(pg_catalog.=) $1 OR g.generation_id OPERATOR(pg_catalog.=) $2
 ORDER BY g.generation_id
