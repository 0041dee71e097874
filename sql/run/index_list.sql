-- Run by pg::worker and rag_maintain: the vector indexes of a table of chunks ($1), oldest first. One by another distance
-- than the cosine, or of anything but the column of all chunks, serves no search: it counts as invalid.
SELECT i.indexrelid,
       i.indisvalid AND o.opcname = 'halfvec_cosine_ops' AND i.indpred IS NULL AND i.indkey[0] <> 0,
       pg_catalog.pg_relation_size(i.indexrelid),
       (SELECT l.option_value::int FROM pg_catalog.pg_options_to_table(c.reloptions) l WHERE l.option_name = 'lists')
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_am a ON a.oid = c.relam
  JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[0]
 WHERE i.indrelid = $1 AND a.amname IN ('hnsw', 'ivfflat')
 ORDER BY i.indexrelid
