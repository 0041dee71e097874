-- Run wherever triggers of a collection (its name is $1) are dropped from a table ($2), as its owner. One that a partition
-- inherits goes with its parent's.
SELECT pg_catalog.quote_ident(t.tgname)
  FROM ({own_triggers}) t
 WHERE t.tgrelid = $2 AND t.tgparentid = 0
