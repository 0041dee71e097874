-- Run by workers as the source's owner, in the transaction that applies: new documents. If another spelling of a key was inserted
-- meanwhile, the unique violation is retried.
INSERT INTO {documents} ({stored_keys}, source_hash, chunk_ids, char_starts, char_ends, pages{file_columns})
SELECT {k_keys}, n.source_hash, n.chunk_ids::bigint[], n.char_starts::int[], n.char_ends::int[],
       n.pages::int[]{file_values}
  FROM {states}
  JOIN {keys} ON k.ordinal = n.document
