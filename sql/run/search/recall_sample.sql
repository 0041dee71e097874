-- Run by rag_recall and rag_maintain as the caller: what is asked of up to $1 chunks, evenly spread over the chunk ids, so
-- that two runs ask the same.
WITH bounds AS (
    SELECT pg_catalog.min(c.chunk_id) AS lowest, pg_catalog.max(c.chunk_id) AS highest FROM {chunks} c
), ids AS (
    -- Operators written this way all bind alike, from the left.
    SELECT b.lowest OPERATOR(pg_catalog.+)
               ((b.highest OPERATOR(pg_catalog.-) b.lowest OPERATOR(pg_catalog.+) 1)
                OPERATOR(pg_catalog.*) n OPERATOR(pg_catalog./) $1) AS chunk_id
      FROM bounds b CROSS JOIN pg_catalog.generate_series(0, $1 OPERATOR(pg_catalog.-) 1) n
)
SELECT DISTINCT ON (c.chunk_id) c.chunk_id, {asked} AS asked
  FROM ids i
 CROSS JOIN LATERAL (SELECT c.chunk_id, c.embedding, c.content
                       FROM {chunks} c
                      WHERE c.chunk_id OPERATOR(pg_catalog.>=) i.chunk_id
                      ORDER BY c.chunk_id
                      LIMIT 1) c
