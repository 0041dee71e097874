-- Run by rag_create_collection as the caller: what a table is, before anything is made of it.
SELECT r.relkind::text,
       r.relpersistence::text,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(r.relname),
       pg_catalog.quote_ident(n.nspname),
       pg_catalog.pg_has_role(r.relowner, 'USAGE'),
       pg_catalog.has_schema_privilege(r.relowner, n.oid, 'CREATE'),
       r.relispartition,
       EXISTS (SELECT FROM pg_catalog.pg_trigger t
                WHERE t.tgrelid = r.oid AND t.tgtype & 19 = 19 AND t.tgenabled <> 'D'),
       (n.nspname IN ('pg_catalog', 'information_schema', 'rag', 'pg_toast')),
       r.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits h
                                    WHERE h.inhparent = r.oid OR h.inhrelid = r.oid),
       r.relowner
  FROM pg_catalog.pg_class r
  JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
 WHERE r.oid = $1
