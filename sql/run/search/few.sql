-- Run by rag_search as the caller, read-only, with a plan made for the values at hand: where the chunks lie that
-- the filter and the source's policies leave, at most $5; $7 and on are the values of the filter, as in search/search.sql,
-- and the others are NULL. The planner may begin with the source, whose indexes serve filter and policies, or
-- with the chunks.
SELECT c.ctid
  FROM {source} s
  JOIN {chunks} c ON {keys_equal}
 WHERE {condition}
 LIMIT $5
