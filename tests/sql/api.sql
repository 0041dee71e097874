-- Everything the extension adds to a database, with what others may do with it. A difference here is
-- a change of the interface: it belongs into CHANGELOG.md and into an upgrade script.
LOAD 'rag_pg'; -- for its settings, where it is not preloaded
SET search_path = pg_catalog, public; -- types under their own names
\pset format unaligned
\pset tuples_only on

\echo functions: volatility, parallel safety, strictness, rights, settings
SELECT format('%s %s(%s) -> %s: %s', CASE prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, proname,
         pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
         concat_ws(', ',
           CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
           'parallel ' || CASE proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END,
           CASE WHEN proisstrict THEN 'strict' END,
           CASE WHEN proleakproof THEN 'leakproof' END,
           CASE WHEN prosecdef THEN 'security definer' END,
           CASE WHEN proacl IS NOT NULL THEN 'public may not call' END,
           'set ' || array_to_string(proconfig, ', ')))
  FROM pg_depend d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'rag_pg')
 ORDER BY proname COLLATE "C", pg_get_function_identity_arguments(p.oid) COLLATE "C";

\echo relations: kind, what PUBLIC may do, columns
SELECT format('%s %s%s: %s', CASE relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence'
             WHEN 'c' THEN 'type' ELSE relkind::text END, c.oid::regclass,
         coalesce(' (public: ' || (SELECT string_agg(lower(privilege_type), ', ' ORDER BY privilege_type)
                                     FROM aclexplode(relacl) WHERE grantee = 0) || ')', ''),
         CASE WHEN relkind <> 'S' THEN
           (SELECT string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
              FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) END)
  FROM pg_depend d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'rag_pg')
 ORDER BY c.oid::regclass::text COLLATE "C";

\echo other members
SELECT pg_describe_object(classid, objid, objsubid)
  FROM pg_depend
 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'rag_pg')
   AND classid NOT IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_type'::regclass)
 ORDER BY 1;

\echo settings: type, who may set it and when, default
SELECT format('%s %s %s: %s', name, vartype,
         -- Without preloading it is too late for this one, and it says sighup.
         CASE WHEN name IN ('rag_pg.preload_models', 'rag_pg.query_cache_size') THEN 'postmaster' ELSE context END, coalesce(quote_literal(boot_val), 'NULL'))
  FROM pg_settings WHERE name LIKE 'rag\_pg.%' ORDER BY name COLLATE "C";

\echo members and columns without a comment
SELECT pg_describe_object(classid, objid, 0)
  FROM pg_depend
 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'rag_pg')
   AND classid NOT IN ('pg_type'::regclass, 'pg_cast'::regclass)
   AND obj_description(objid, classid::regclass::name) IS NULL
 UNION ALL
SELECT format('column %s.%s', a.attrelid::regclass, a.attname)
  FROM pg_depend d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND c.relkind IN ('r', 'v', 'c')
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'rag_pg')
   AND col_description(a.attrelid, a.attnum) IS NULL
 ORDER BY 1;
