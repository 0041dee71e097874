-- Run by rag_verify as the source's owner: documents name only chunks that are there, and count as made from
-- another text, so that a worker makes what is missing. A row that a worker rewrites meanwhile is left to it.
UPDATE {documents} d
   SET source_hash = '', chunk_ids = m.chunk_ids, char_starts = m.char_starts, char_ends = m.char_ends,
       pages = m.pages{file_set}
  FROM (SELECT b.ctid AS row_id, p.chunk_ids, p.char_starts, p.char_ends,
               CASE WHEN b.pages IS NOT NULL THEN p.pages END AS pages{file_kept}
          FROM {documents} b
         CROSS JOIN LATERAL (
               SELECT COALESCE(pg_catalog.array_agg(n.chunk_id ORDER BY n.position), ARRAY[]::bigint[]) AS chunk_ids,
                      COALESCE(pg_catalog.array_agg(n.char_start ORDER BY n.position), ARRAY[]::int[]) AS char_starts,
                      COALESCE(pg_catalog.array_agg(n.char_end ORDER BY n.position), ARRAY[]::int[]) AS char_ends,
                      COALESCE(pg_catalog.array_agg(n.page ORDER BY n.position), ARRAY[]::int[]) AS pages{file_places}
                 FROM ROWS FROM (pg_catalog.unnest(b.chunk_ids), pg_catalog.unnest(b.char_starts),
                                 pg_catalog.unnest(b.char_ends), pg_catalog.unnest(b.pages))
                      WITH ORDINALITY AS n (chunk_id, char_start, char_end, page, position)
                WHERE EXISTS (SELECT FROM {chunks} c WHERE c.chunk_id = n.chunk_id)) AS p
         WHERE EXISTS (SELECT FROM pg_catalog.unnest(b.chunk_ids) AS n (chunk_id)
                        WHERE NOT EXISTS (SELECT FROM {chunks} c WHERE c.chunk_id = n.chunk_id))) m
 WHERE d.ctid = m.row_id
