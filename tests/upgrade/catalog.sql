-- Everything that PostgreSQL knows of the extension's objects, a line a fact, but for object ids: what a fresh installation and
-- an upgraded one have to have in common. Run by tests/t/160_upgrade.pl.
CREATE TEMP TABLE member AS
SELECT d.classid, d.objid, i.type, i.identity
  FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'rag_pg',
       LATERAL pg_identify_object(d.classid, d.objid, 0) i
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';
CREATE FUNCTION pg_temp.rights(acl aclitem[], kind "char", owner oid) RETURNS text LANGUAGE sql AS $$
SELECT string_agg(format('%s=%s%s', CASE WHEN a.grantee = 0 THEN 'public' ELSE a.grantee::regrole::text END, a.privilege_type,
                         CASE WHEN a.is_grantable THEN '*' END), ' ' ORDER BY a.grantee, a.privilege_type)
  FROM aclexplode(coalesce(acl, acldefault(kind, owner))) a
$$;
SELECT format('%s %s: %s', m.type, m.identity, f.fact)
  FROM member m CROSS JOIN LATERAL (
    SELECT 'is a member'
     UNION ALL SELECT 'comment ' || objsubid || ' ' || description FROM pg_description c WHERE (c.classoid, c.objoid) = (m.classid, m.objid)
     UNION ALL SELECT 'installed with ' || i.objsubid || ' ' || i.privtype::text || ' ' || pg_temp.rights(i.initprivs, 'r', 10)
                 FROM pg_init_privs i WHERE (i.classoid, i.objoid) = (m.classid, m.objid)
     UNION ALL SELECT 'depends on ' || d.deptype::text || ' ' || pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
                 FROM pg_depend d WHERE (d.classid, d.objid, d.objsubid) = (m.classid, m.objid, 0)
                  AND d.refclassid IN ('pg_extension'::regclass, 'pg_namespace'::regclass)
     UNION ALL SELECT CASE prokind WHEN 'a' THEN 'aggregate' ELSE pg_get_functiondef(oid) END || ' rights ' || pg_temp.rights(proacl, 'f', proowner)
                 FROM pg_proc WHERE oid = m.objid AND m.classid = 'pg_proc'::regclass
     UNION ALL SELECT 'rights ' || pg_temp.rights(nspacl, 'n', nspowner) FROM pg_namespace WHERE oid = m.objid AND m.classid = 'pg_namespace'::regclass
     UNION ALL SELECT format('%s of type %s %s', typtype, typbasetype::regtype, typnotnull) FROM pg_type WHERE oid = m.objid AND m.classid = 'pg_type'::regclass
     UNION ALL SELECT format('label %s of %s', e.enumlabel, row_number() OVER (ORDER BY e.enumsortorder))
                 FROM pg_enum e WHERE e.enumtypid = m.objid AND m.classid = 'pg_type'::regclass
     UNION ALL SELECT format('on %s of %s runs %s %s', evtevent, evttags, evtfoid::regprocedure, evtenabled)
                 FROM pg_event_trigger WHERE oid = m.objid AND m.classid = 'pg_event_trigger'::regclass
     UNION ALL SELECT format('calls %s commutator %s negator %s restrict %s join %s', oprcode, oprcom, oprnegate, oprrest, oprjoin)
                 FROM pg_operator WHERE oid = m.objid AND m.classid = 'pg_operator'::regclass
    ) f (fact)
UNION ALL
SELECT format('%s %s: %s', m.type, m.identity, f.fact)
  FROM member m JOIN pg_class r ON r.oid = m.objid AND m.classid = 'pg_class'::regclass CROSS JOIN LATERAL (
    SELECT format('kind %s persistence %s options %s row security %s %s replica identity %s rights %s', r.relkind, r.relpersistence, r.reloptions,
                  r.relrowsecurity, r.relforcerowsecurity, r.relreplident, pg_temp.rights(r.relacl, (CASE r.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", r.relowner))
     UNION ALL SELECT format('column %s %s %s not null %s default %s identity %s generated %s collation %s storage %s statistics %s rights %s',
                  row_number() OVER (ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
                  a.attidentity, a.attgenerated, a.attcollation::regcollation, a.attstorage, nullif(a.attstattarget, -1), a.attacl)
                 FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
                WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
     UNION ALL SELECT format('constraint %s %s %s', conname, convalidated, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = r.oid
     UNION ALL SELECT format('index %s %s', pg_get_indexdef(indexrelid), indisvalid) FROM pg_index WHERE indrelid = r.oid
     UNION ALL SELECT format('trigger %s %s', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE tgrelid = r.oid AND NOT tgisinternal
     UNION ALL SELECT format('policy %s %s %s %s %s', polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
                 FROM pg_policy WHERE polrelid = r.oid
     UNION ALL SELECT 'shows ' || pg_get_viewdef(r.oid) WHERE r.relkind = 'v'
     UNION ALL SELECT format('numbers %s from %s by %s to %s keeps %s cycles %s', seqtypid::regtype, seqstart, seqincrement, seqmax, seqcache, seqcycle)
                 FROM pg_sequence WHERE seqrelid = r.oid
    ) f (fact)
UNION ALL
SELECT format('dumped: %s where "%s"', c.relation::regclass, c.condition)
  FROM pg_extension x, LATERAL unnest(x.extconfig, x.extcondition) c (relation, condition) WHERE x.extname = 'rag_pg'
UNION ALL
SELECT format('extension: version %s relocatable %s comment %s requires %s', x.extversion, x.extrelocatable, obj_description(x.oid),
              (SELECT string_agg(e.extname, ' ') FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                WHERE d.classid = 'pg_extension'::regclass AND d.objid = x.oid AND d.refclassid = 'pg_extension'::regclass))
  FROM pg_extension x WHERE x.extname = 'rag_pg'
ORDER BY 1;
