-- Run by rag_maintain as the source's owner: distances of the nearest neighbours of the chunk $1, without itself.
SELECT n.distance
  FROM (SELECT c.chunk_id, {distance} AS distance FROM {chunks} c ORDER BY {order} LIMIT {limit}) n
 WHERE n.chunk_id <> $1
 ORDER BY n.distance LIMIT {count}
