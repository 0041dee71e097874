-- Run by catalog::collection::tables, and by rag_verify to find what it creates again; reads catalogs only: tables of a generation
-- that are not governed by their source and by nothing else. $1 source, $2 documents, $3 chunks, $4 token bits or NULL, $5 segments, $6 postings; these two have no
-- policy at all.
SELECT t.relid
  FROM (VALUES ($2, $1), ($3, $1), ($4, $3)) AS t (relid, decides)
  JOIN pg_catalog.pg_class r ON r.oid = t.relid
 WHERE NOT r.relrowsecurity OR r.relforcerowsecurity
    OR (SELECT pg_catalog.count(*) FROM pg_catalog.pg_policy p WHERE p.polrelid = t.relid) <> 1
    OR EXISTS (SELECT FROM pg_catalog.pg_policy p
                WHERE p.polrelid = t.relid
                  AND NOT (p.polcmd = 'r' AND p.polpermissive AND p.polroles = ARRAY [0::oid] AND p.polwithcheck IS NULL
                           AND EXISTS (SELECT FROM pg_catalog.pg_depend d
                                        WHERE d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass::oid AND d.objid = p.oid
                                          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::oid
                                          AND d.refobjid = t.decides)
                           -- It asks no other table, and calls no function of a user.
                           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                                            WHERE d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass::oid AND d.objid = p.oid
                                              AND (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::oid
                                                       AND d.refobjid NOT IN (t.relid, t.decides)
                                                   OR d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass::oid
                                                       AND EXISTS (SELECT FROM pg_catalog.pg_proc f
                                                                     JOIN pg_catalog.pg_roles w ON w.oid = f.proowner
                                                                    WHERE f.oid = d.refobjid AND NOT w.rolsuper)
                                                   OR d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass::oid
                                                       AND EXISTS (SELECT FROM pg_catalog.pg_operator o
                                                                     JOIN pg_catalog.pg_roles w ON w.oid = o.oprowner
                                                                    WHERE o.oid = d.refobjid AND NOT w.rolsuper)))))
 UNION ALL
SELECT r.oid
  FROM pg_catalog.pg_class r
 WHERE r.oid IN ($5, $6)
   AND (NOT r.relrowsecurity OR r.relforcerowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = r.oid))
