-- Run by rag_search as a caller under row-level security, read-only, with a kept plan: what ranking must know, by the packed
-- request $2, of those chunks at the places $6 that the caller may see and the filter lets pass. Parameters as in search.sql.
SELECT pg_catalog.string_agg(rag.search_hit($2, c.chunk_id, c.ctid, c.lexemes), ''::pg_catalog.bytea)
  FROM {chunks} c
 WHERE c.ctid OPERATOR(pg_catalog.=) ANY ($6) AND {visible}
