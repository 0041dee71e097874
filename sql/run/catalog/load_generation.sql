-- Run by catalog::collection: generations of a collection ($1), or one of them ($2).
SELECT g.generation_id AS id, g.collection_id AS collection, g.state,
       coalesce(c.paused, g.paused) IS NOT NULL AS is_paused,
       g.model, g.fingerprint, g.storage_format, g.dimensions, g.max_tokens, g.overlap_tokens, g.format,
       g.index_method, g.lexical, g.lexical_checked_at, g.loaded_at IS NOT NULL AS is_loaded, g.index_wanted AS wants_index,
       g.documents::oid AS documents, g.chunks::oid AS chunks, g.token_bits, g.bits::oid AS bits,
       g.segments::oid AS segments, g.postings::oid AS postings, g.calibration
  FROM rag.generation g
  JOIN rag.collection c ON c.collection_id OPERATOR(pg_catalog.=) g.collection_id
 WHERE g.collection_id OPERATOR(pg_catalog.=) $1 OR g.generation_id OPERATOR(pg_catalog.=) $2
 ORDER BY g.generation_id
