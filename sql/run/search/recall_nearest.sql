-- Run by rag_recall as the caller, with a kept plan: distances of the chunks nearest to $1, without the chunk
-- $2 that it is from. Scanned as rag_search's dense leg is.
WITH dense AS MATERIALIZED (
    SELECT c.chunk_id, {distance} AS distance
      FROM {chunks} c
     ORDER BY {order}
     LIMIT {depth}
)
SELECT d.distance FROM dense d WHERE d.chunk_id OPERATOR(pg_catalog.<>) $2 ORDER BY d.distance
