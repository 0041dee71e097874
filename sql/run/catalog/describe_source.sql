-- Run by rag_create_collection as the caller: what a table is, before anything is made of it.
SELECT pg_catalog.format('%I.%I', n.nspname, r.relname) AS sql,
       pg_catalog.quote_ident(n.nspname) AS schema_sql,
       r.relowner AS owner,
       r.relkind::pg_catalog.text AS kind,
       r.relpersistence OPERATOR(pg_catalog.=) 't' AS is_temporary,
       r.relispartition AS is_partition,
       r.relispartition AND EXISTS (SELECT FROM pg_catalog.pg_partition_tree(pg_catalog.pg_partition_root(r.oid::pg_catalog.regclass)) p
                                      JOIN pg_catalog.pg_class f ON f.oid OPERATOR(pg_catalog.=) p.relid::pg_catalog.oid
                                     WHERE f.relkind OPERATOR(pg_catalog.=) 'f') AS is_beside_foreign,
       r.relkind OPERATOR(pg_catalog.=) 'r' AND NOT r.relispartition AND EXISTS (SELECT FROM pg_catalog.pg_inherits h
                                    WHERE h.inhparent OPERATOR(pg_catalog.=) r.oid OR h.inhrelid OPERATOR(pg_catalog.=) r.oid)
           AS is_inherited,
       n.nspname OPERATOR(pg_catalog.=) ANY ('{pg_catalog, information_schema, rag, pg_toast}'::pg_catalog.name[])
           AS is_of_system,
       EXISTS (SELECT FROM pg_catalog.pg_trigger t
                WHERE t.tgrelid OPERATOR(pg_catalog.=) r.oid
                  AND (t.tgtype::int OPERATOR(pg_catalog.&) 19) OPERATOR(pg_catalog.=) 19
                  AND t.tgenabled OPERATOR(pg_catalog.<>) 'D') AS has_before_update,
       pg_catalog.pg_has_role(r.relowner, 'USAGE') AS may_own,
       pg_catalog.has_schema_privilege(r.relowner, n.oid, 'CREATE') AS owner_may_create
  FROM pg_catalog.pg_class r
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) r.relnamespace
 WHERE r.oid OPERATOR(pg_catalog.=) $1
