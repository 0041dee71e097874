-- Run by maintain::rebuild as the source's owner: roles that may read a generation's chunks ($1).
SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
  FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
 WHERE c.oid = $1 AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
 GROUP BY a.grantee
