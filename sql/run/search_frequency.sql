-- Run by rag_search as a caller under row-level security, read-only, with a kept plan: how many chunks that the caller
-- may see match each of $1, counted up to $2.
SELECT (SELECT pg_catalog.count(*)
          FROM (SELECT FROM {chunks} c
                 WHERE c.lexemes OPERATOR(rag.@@) t.query AND {visible}
                 LIMIT $2) m)
  FROM pg_catalog.unnest($1::text[]::pg_catalog.tsquery[]) WITH ORDINALITY AS t (query, place)
 ORDER BY t.place
