-- Run by rag_recall and rag_maintain as the caller: what is asked of up to $1 chunks of different texts, evenly spread over the chunk ids, so
-- that two runs ask the same. More are looked at: where thousands have one text, the index may find nothing but these, and whoever is asked
-- about them alone does not notice.
WITH bounds AS (
    SELECT pg_catalog.min(c.chunk_id) AS lowest, pg_catalog.max(c.chunk_id) AS highest,
           20 OPERATOR(pg_catalog.*) $1::bigint AS looks
      FROM {chunks} c
), ids AS (
    -- Operators written this way all bind alike, from the left.
    SELECT b.lowest OPERATOR(pg_catalog.+)
               ((b.highest OPERATOR(pg_catalog.-) b.lowest OPERATOR(pg_catalog.+) 1)
                OPERATOR(pg_catalog.*) n OPERATOR(pg_catalog./) b.looks) AS chunk_id
      FROM bounds b CROSS JOIN pg_catalog.generate_series(0, b.looks OPERATOR(pg_catalog.-) 1) n
), texts AS (
    SELECT pg_catalog.min(c.chunk_id) AS chunk_id
      FROM ids i
     CROSS JOIN LATERAL (SELECT c.chunk_id, c.content
                           FROM {chunks} c
                          WHERE c.chunk_id OPERATOR(pg_catalog.>=) i.chunk_id
                          ORDER BY c.chunk_id
                          LIMIT 1) c
     GROUP BY c.content
), numbered AS (
    SELECT t.chunk_id, pg_catalog.row_number() OVER (ORDER BY t.chunk_id) AS n, pg_catalog.count(*) OVER () AS all_texts FROM texts t
)
SELECT c.chunk_id, {asked} AS asked
  FROM numbered t
  JOIN {chunks} c ON c.chunk_id OPERATOR(pg_catalog.=) t.chunk_id
 WHERE t.n OPERATOR(pg_catalog.*) $1 OPERATOR(pg_catalog./) t.all_texts
       OPERATOR(pg_catalog.>) ((t.n OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog.*) $1 OPERATOR(pg_catalog./) t.all_texts)
    OR t.all_texts OPERATOR(pg_catalog.<=) $1
 ORDER BY c.chunk_id
