-- Run by rag_search as the caller, read-only, with a kept plan: of the chunks $4 those for which the conditions hold. Parameters as in
-- search/dense.sql. Where the chunks come from the inverted file, which is read as no role, this statement alone decides which
-- of them are visible.
SELECT c.{column}
  FROM pg_catalog.unnest($4) AS a (chunk_id)
  JOIN {chunks} c ON c.chunk_id OPERATOR(pg_catalog.=) a.chunk_id
 WHERE {conditions}
