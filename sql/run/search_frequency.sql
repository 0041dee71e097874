-- Run by rag_search as the caller, read-only, with a kept plan: how many chunks match each of $3, counted up to $5; under
-- row-level security those that the caller may see and the filter lets pass. $8 and on as in search.sql.
SELECT (SELECT pg_catalog.count(*)
          FROM (SELECT FROM {chunks} c
                 WHERE c.lexemes OPERATOR(rag.@@) t.query AND {visible}
                 LIMIT $5) m)
  FROM pg_catalog.unnest($3::pg_catalog.text[]::pg_catalog.tsquery[]) WITH ORDINALITY AS t (query, place)
 ORDER BY t.place
