-- Run by workers as the source's owner when the queue of a generation is empty: flushes the pending lists of the full-text
-- indexes of its chunks ($1), which every search reads.
SELECT pg_catalog.count(pg_catalog.gin_clean_pending_list(i.indexrelid))
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[0]
  JOIN pg_catalog.pg_am a ON a.oid = o.opcmethod AND a.amname = 'gin'
  JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace
 WHERE i.indrelid = $1 AND i.indisvalid AND n.nspname = 'pg_catalog' AND o.opcname = 'tsvector_ops'
