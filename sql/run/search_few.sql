-- Run by rag_search as the caller, read-only, with a plan made for the values at hand: the numbers of chunks that
-- the filter and the source's policies leave, at most $5; $6 and on are the values of the filter, as in search.sql,
-- and $1 to $4 are NULL. The planner may begin with the source, whose indexes serve filter and policies, or
-- with the chunks.
SELECT c.chunk_id
  FROM {source} s
  JOIN {chunks} c ON {keys_equal}
 WHERE {condition}
 LIMIT $5
