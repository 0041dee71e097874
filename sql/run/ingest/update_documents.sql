-- Run by workers as the source's owner, in the transaction that applies: the one row that an edit rewrites, unless it changed
-- since it was read.
UPDATE {documents} d
   SET source_hash = n.source_hash, chunk_ids = n.chunk_ids::bigint[], char_starts = n.char_starts::int[],
       char_ends = n.char_ends::int[], pages = n.pages::int[]{file_set}, indexed_at = pg_catalog.now()
  FROM {states}
  JOIN {keys} ON k.ordinal = n.document
 WHERE {document_equal} AND d.chunk_ids = n.expected::bigint[]
