-- Run by rag_attach_collection; reads catalogs only: whether the vectors of a table of chunks ($1) are stored as this version stores those of
-- $2 dimensions. The type is that of pgvector itself.
SELECT 1
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typname = 'halfvec'
  JOIN pg_catalog.pg_extension x ON x.extname = 'vector' AND x.extnamespace = t.typnamespace
 WHERE a.attrelid = $1 AND a.attname = 'embedding' AND NOT a.attisdropped AND a.atttypmod = $2
