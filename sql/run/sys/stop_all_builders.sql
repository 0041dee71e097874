-- Run by a worker as the extension's owner when somebody wants the database for himself. Another build is called for
-- when that is over.
SELECT pg_catalog.pg_terminate_backend(a.pid)
  FROM pg_catalog.pg_stat_activity a
 WHERE a.backend_type = 'rag_pg index builder'
   AND a.datid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
