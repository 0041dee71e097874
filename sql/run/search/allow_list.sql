-- Run by rag_search as the caller, read-only: the chunks that the filter and the source's policies let pass, at most $2, with their
-- lengths in lexemes, whether they match the tsquery $3, if one is given, and their distances from the vector $1, if one is given; $5
-- and on are the values of the filter, and $4 is of no use here. The planner may begin with the source, whose indexes serve filter and policies, or with the chunks.
SELECT c.chunk_id, c.lexeme_count, COALESCE(pg_catalog.ts_match_vq(c.lexemes, $3), true) AS is_match, {distance} AS distance
  FROM {source} s
  JOIN {chunks} c ON {keys_equal}
 WHERE {condition}
 LIMIT $2
