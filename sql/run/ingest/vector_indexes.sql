-- Run by workers and rag_maintain: our vector indexes of a table of chunks ($1), oldest first: those that depend on
-- the extension, and the one being built, or left by a build that a crash ended. All others are the owner's.
SELECT i.indexrelid AS oid, i.indisvalid AS is_valid, pg_catalog.pg_relation_size(i.indexrelid) AS size,
       (SELECT l.option_value::int FROM pg_catalog.pg_options_to_table(c.reloptions) l WHERE l.option_name = 'lists') AS lists
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_am a ON a.oid = c.relam
 WHERE i.indrelid = $1 AND a.amname IN ('hnsw', 'ivfflat')
   AND (EXISTS (SELECT FROM pg_catalog.pg_depend d
                  JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'rag_pg'
                 WHERE d.classid = 'pg_catalog.pg_class'::regclass::oid AND d.objid = i.indexrelid AND d.objsubid = 0
                   AND d.refclassid = 'pg_catalog.pg_extension'::regclass::oid AND d.deptype = 'x')
        OR EXISTS (SELECT FROM rag.generation g WHERE g.chunks::oid = i.indrelid AND g.index_being_built = c.relname))
 ORDER BY i.indexrelid
