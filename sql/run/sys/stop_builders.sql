-- Run by rag_drop_collection and rag_prune as the extension's owner: ends the processes that build vector indexes of
-- generations ($4), which would keep their tables from being dropped. $1 to $3 are the fields of a lock of theirs.
SELECT pg_catalog.pg_terminate_backend(l.pid)
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.database::int8 = $1 AND l.classid::int8 = $2
   AND l.objsubid = $3 AND l.objid::int8 = ANY ($4)
   AND a.backend_type = 'rag_pg index builder'
