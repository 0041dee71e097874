-- Run by rag_create_collection as the caller: what a table is, before anything is made of it.
SELECT r.relkind::pg_catalog.text,
       r.relpersistence::pg_catalog.text,
       pg_catalog.format('%I.%I', n.nspname, r.relname),
       pg_catalog.quote_ident(n.nspname),
       pg_catalog.pg_has_role(r.relowner, 'USAGE'),
       pg_catalog.has_schema_privilege(r.relowner, n.oid, 'CREATE'),
       r.relispartition,
       EXISTS (SELECT FROM pg_catalog.pg_trigger t
                WHERE t.tgrelid OPERATOR(pg_catalog.=) r.oid
                  AND (t.tgtype::int OPERATOR(pg_catalog.&) 19) OPERATOR(pg_catalog.=) 19
                  AND t.tgenabled OPERATOR(pg_catalog.<>) 'D'),
       n.nspname OPERATOR(pg_catalog.=) ANY ('{pg_catalog, information_schema, rag, pg_toast}'::pg_catalog.name[]),
       r.relkind OPERATOR(pg_catalog.=) 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits h
                                    WHERE h.inhparent OPERATOR(pg_catalog.=) r.oid OR h.inhrelid OPERATOR(pg_catalog.=) r.oid),
       r.relowner
  FROM pg_catalog.pg_class r
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) r.relnamespace
 WHERE r.oid OPERATOR(pg_catalog.=) $1
