-- Run by rag_search as a caller under row-level security, read-only, with a kept plan: what ranking must know, by the packed
-- request $1, of those chunks at the places $2 that the caller may see.
SELECT pg_catalog.string_agg(rag.search_hit($1, c.chunk_id, c.lexemes), ''::pg_catalog.bytea)
  FROM {chunks} c
 WHERE c.ctid OPERATOR(pg_catalog.=) ANY ($2) AND {visible}
