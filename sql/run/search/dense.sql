-- Run by rag_search and rag_recall as the caller, read-only, with a kept plan; everything is qualified because the caller's search path
-- stays: it belongs to the caller's policies. The chunks nearest to the vector $1, at most $2, which is at most {most}: a LIMIT that the
-- planner knows lets it choose the index, and one that it does not know keeps plans few. $3 the tsquery that chunks must match, $4 the
-- chunks that are compared, $5 and on the values of the filter. What the statement does not refer to is NULL.
SELECT x.chunk_id, x.distance
  FROM (SELECT c.chunk_id, {distance} AS distance
          FROM {from}
         WHERE {conditions}
         ORDER BY distance
         LIMIT $2) x
 LIMIT {most}
