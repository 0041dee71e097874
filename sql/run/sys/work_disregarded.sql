-- Run by rag_work as the caller: settings that are its database's or its role's, not the session's own.
SELECT s.name
  FROM pg_catalog.pg_settings s
 WHERE s.name OPERATOR(pg_catalog.=) ANY (ARRAY['statement_timeout', 'transaction_timeout', 'default_transaction_read_only'])
   AND s.source OPERATOR(pg_catalog.=) ANY (ARRAY['database', 'user', 'database user', 'global'])
