-- Run by rag_create_collection before it creates triggers: those on the source ($1) and its partitions that are of
-- a collection of this name ($2).
SELECT pg_catalog.quote_ident(t.tgname), t.tgrelid
  FROM pg_catalog.pg_trigger t
 WHERE (t.tgrelid = $1 OR t.tgrelid IN (SELECT p.relid::oid FROM pg_catalog.pg_partition_tree($1::oid::regclass) p))
   AND t.tgparentid = 0
   AND pg_catalog.starts_with(t.tgname::text, 'rag_pg_')
   AND t.tgargs = pg_catalog.convert_to($2, pg_catalog.getdatabaseencoding()) || pg_catalog.decode('00', 'hex')
