-- Run by rag_create_collection: the type of a column, whether it holds text, whether it holds files or, if $3, numbers of large
-- objects, and whether it is computed when it is read (PostgreSQL 18).
SELECT pg_catalog.format_type(a.atttypid, a.atttypmod),
       t.typcategory = 'S' OR EXISTS (SELECT FROM pg_catalog.pg_cast k
                                       WHERE k.castsource = a.atttypid AND k.casttarget = 'text'::regtype
                                         AND k.castcontext = 'i'),
       'bytea'::regtype IN (a.atttypid, t.typbasetype),
       $3 AND 'oid'::regtype IN (a.atttypid, t.typbasetype),
       a.attgenerated = 'v'
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = $1 AND a.attname = $2::name AND a.attnum > 0 AND NOT a.attisdropped
