-- Run by rag_search as the caller, read-only, with a kept plan: the partial results, encoded for the request $2, of those chunks at
-- the TIDs $6 for which the conditions hold. Parameters as in search/search.sql. Where the TIDs come from an index that was read as
-- no role, this statement alone decides which of the chunks are visible.
SELECT pg_catalog.string_agg(rag.search_hit($2, c.chunk_id, c.ctid, c.lexemes), ''::pg_catalog.bytea)
  FROM {chunks} c
 WHERE c.ctid OPERATOR(pg_catalog.=) ANY ($6) AND {conditions}
