-- Run by pg::worker and rag_maintain: the vector indexes of a table of chunks ($1), oldest first. One of full precision serves
-- no search: it counts as invalid.
SELECT i.indexrelid,
       i.indisvalid AND pg_catalog.pg_get_indexdef(i.indexrelid, 1, true) LIKE '%halfvec%',
       pg_catalog.pg_relation_size(i.indexrelid),
       (SELECT o.option_value::int FROM pg_catalog.pg_options_to_table(c.reloptions) o WHERE o.option_name = 'lists')
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_am a ON a.oid = c.relam
 WHERE i.indrelid = $1 AND a.amname IN ('hnsw', 'ivfflat')
 ORDER BY i.indexrelid
