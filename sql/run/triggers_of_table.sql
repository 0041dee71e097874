-- Run wherever triggers of a collection ($1) are dropped from a table ($2), as its owner. One that a partition inherits goes
-- with its parent's.
SELECT pg_catalog.quote_ident(t.tgname)
  FROM pg_catalog.pg_trigger t
 WHERE t.tgrelid = $2 AND t.tgparentid = 0
   AND pg_catalog.starts_with(t.tgname::text, pg_catalog.format('rag_pg_%s_', $1::int))
