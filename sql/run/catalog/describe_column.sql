-- Run by rag_create_collection: whether a column exists and holds text.
SELECT pg_catalog.format_type(a.atttypid, a.atttypmod),
       t.typcategory = 'S' OR EXISTS (SELECT FROM pg_catalog.pg_cast k
                                       WHERE k.castsource = a.atttypid AND k.casttarget = 'text'::regtype
                                         AND k.castcontext = 'i')
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = $1 AND a.attname = $2::name AND a.attnum > 0 AND NOT a.attisdropped
