-- Run by rag_search as the caller, read-only, with a kept plan: as search/partials.sql, of the chunks that another extension's index
-- found, whose ids are $5, best first.
SELECT pg_catalog.string_agg(rag.search_hit($2, c.chunk_id, c.ctid, c.lexemes), ''::pg_catalog.bytea ORDER BY r.rank)
  FROM pg_catalog.unnest($5) WITH ORDINALITY AS r (chunk_id, rank)
  JOIN {chunks} c ON c.chunk_id OPERATOR(pg_catalog.=) r.chunk_id
 WHERE {conditions}
