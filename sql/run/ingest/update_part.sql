-- Run by ingest::pipeline::apply as the source's owner, in the transaction that stores a part of a long document: its row names the
-- chunks that there are of its new text, then those of the old one, which are searched until all of the new are there.
UPDATE {documents} d
   SET source_hash = n.source_hash,
       chunk_ids = n.chunk_ids::bigint[] || ARRAY(
           SELECT o.id FROM pg_catalog.unnest(d.chunk_ids) WITH ORDINALITY AS o (id, ordinal)
            WHERE NOT EXISTS (SELECT FROM pg_catalog.unnest(n.chunk_ids::bigint[]) AS m (id) WHERE m.id = o.id)
            ORDER BY o.ordinal),
       char_starts = n.char_starts::int[] || ARRAY(
           SELECT o.place
             FROM ROWS FROM (pg_catalog.unnest(d.chunk_ids), pg_catalog.unnest(d.char_starts))
                  WITH ORDINALITY AS o (id, place, ordinal)
            WHERE NOT EXISTS (SELECT FROM pg_catalog.unnest(n.chunk_ids::bigint[]) AS m (id) WHERE m.id = o.id)
            ORDER BY o.ordinal),
       char_ends = n.char_ends::int[] || ARRAY(
           SELECT o.place
             FROM ROWS FROM (pg_catalog.unnest(d.chunk_ids), pg_catalog.unnest(d.char_ends))
                  WITH ORDINALITY AS o (id, place, ordinal)
            WHERE NOT EXISTS (SELECT FROM pg_catalog.unnest(n.chunk_ids::bigint[]) AS m (id) WHERE m.id = o.id)
            ORDER BY o.ordinal),
       -- Pages of the old ones are not known here, and read as NULL behind the end.
       pages = n.pages::int[],
       indexed_at = pg_catalog.now()
  FROM {states}
  JOIN {keys} ON k.ordinal = n.document
 WHERE {document_equal} AND d.chunk_ids = n.expected::bigint[]
