-- Run by workers as the source's owner: up to $1 chunks, evenly spread over the chunk ids, with their documents' keys.
WITH bounds AS (
    SELECT pg_catalog.min(c.chunk_id) AS lowest, pg_catalog.max(c.chunk_id) AS highest FROM {chunks} c
), ids AS (
    SELECT b.lowest + ((b.highest - b.lowest + 1) * n / $1) AS chunk_id
      FROM bounds b CROSS JOIN pg_catalog.generate_series(0, $1 - 1) n
)
SELECT DISTINCT ON (c.chunk_id) c.chunk_id, c.content, {keys}
  FROM ids i
 CROSS JOIN LATERAL (SELECT c.* FROM {chunks} c WHERE c.chunk_id >= i.chunk_id ORDER BY c.chunk_id LIMIT 1) c
