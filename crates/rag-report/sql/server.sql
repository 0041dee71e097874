-- Where the report comes from. Run by psql, as whoever asks for the report, like all files here. One row: jsonb.
SELECT pg_catalog.jsonb_build_object(
           'database', pg_catalog.current_database(), 'role', current_user,
           'server', pg_catalog.current_setting('server_version'), 'version', e.extversion, 'schema', n.nspname,
           'made_at', pg_catalog.to_char(pg_catalog.now(), 'YYYY-MM-DD HH24:MI TZ'),
           'is_logged', pg_catalog.current_setting('rag_pg.query_log_sample', true)::pg_catalog.float8 OPERATOR(pg_catalog.>) 0,
           'questions', NULLIF(:'questions', '')::pg_catalog.regclass::pg_catalog.oid)
  FROM pg_catalog.pg_extension e
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
 WHERE e.extname OPERATOR(pg_catalog.=) 'rag_pg';
