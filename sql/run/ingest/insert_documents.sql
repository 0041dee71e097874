-- Run by ingest::pipeline::apply as the source's owner, in the transaction that applies: documents seen for the first
-- time. A key that another spelling of it inserted meanwhile is a unique violation, and tried again.
INSERT INTO {documents} ({stored_keys}, source_hash, chunk_ids, char_starts, char_ends, pages)
SELECT {k_keys}, n.source_hash, n.chunk_ids::bigint[], n.char_starts::int[], n.char_ends::int[],
       n.pages::int[]
  FROM {states}
  JOIN {keys} ON k.ordinal = n.document
