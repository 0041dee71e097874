-- Run by workers as the source's owner, in the transaction that stores a part of a long document: its row lists the chunks of
-- the new text that are stored, then those of the old text, which searches find until all new ones are stored.
UPDATE {documents} d
   SET source_hash = n.source_hash,
       (chunk_ids, char_starts, char_ends) = (
           SELECT n.chunk_ids::bigint[] || pg_catalog.array_agg(o.id ORDER BY o.ordinal),
                  n.char_starts::int[] || pg_catalog.array_agg(o.char_start ORDER BY o.ordinal),
                  n.char_ends::int[] || pg_catalog.array_agg(o.char_end ORDER BY o.ordinal)
             FROM ROWS FROM (pg_catalog.unnest(d.chunk_ids), pg_catalog.unnest(d.char_starts), pg_catalog.unnest(d.char_ends))
                  WITH ORDINALITY AS o (id, char_start, char_end, ordinal)
            WHERE NOT EXISTS (SELECT FROM pg_catalog.unnest(n.chunk_ids::bigint[]) AS m (id) WHERE m.id = o.id)),
       -- Pages of the old ones are not known here, and read as NULL behind the end.
       pages = n.pages::int[]{file_set},
       indexed_at = pg_catalog.now()
  FROM {states}
  JOIN {keys} ON k.ordinal = n.document
 WHERE {document_equal} AND d.chunk_ids = n.expected::bigint[]
