-- Run by rag_search as the caller, read-only, with a plan made for the values at hand: the TIDs of the chunks that the filter and the
-- source's policies let pass, at most $5; $7 and on are the values of the filter, as in search/search.sql, and the others are
-- NULL. The planner may begin with the source, whose indexes serve filter and policies, or with the chunks.
SELECT c.ctid
  FROM {source} s
  JOIN {chunks} c ON {keys_equal}
 WHERE {condition}
 LIMIT $5
