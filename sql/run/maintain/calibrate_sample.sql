-- Run by workers as the source's owner: up to $1 chunks in the order of a hash of their ids, so that they are of all parts of the collection, with
-- their documents' keys. All ids are read, by the primary key alone.
WITH chosen AS (
    SELECT c.chunk_id FROM {chunks} c ORDER BY pg_catalog.hashint8extended(c.chunk_id, 0) LIMIT $1
)
SELECT c.chunk_id, c.content, {keys}
  FROM chosen
  JOIN {chunks} c USING (chunk_id)
