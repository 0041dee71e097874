-- Run by rag_verify: roles that may read the chunks of a generation ($1), but not its other tables or the view.
WITH reader AS (
    SELECT DISTINCT a.grantee
      FROM rag.generation g
      JOIN pg_catalog.pg_class c ON c.oid = g.chunks
     CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
     WHERE g.generation_id = $1 AND a.privilege_type = 'SELECT' AND a.grantee NOT IN (0, c.relowner)
)
SELECT w.rolname::text
  FROM reader
  JOIN pg_catalog.pg_roles w ON w.oid = reader.grantee
 WHERE EXISTS (
       SELECT FROM rag.generation g
         JOIN rag.collection c ON c.collection_id = g.collection_id
        CROSS JOIN LATERAL pg_catalog.unnest(
              ARRAY [g.documents::oid, g.bits::oid, CASE WHEN g.state = 'active' THEN c.view::oid END]) AS t (oid)
         JOIN pg_catalog.pg_class r ON r.oid = t.oid
        WHERE g.generation_id = $1
          AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(r.relacl) a
                           WHERE a.grantee = reader.grantee AND a.privilege_type = 'SELECT'))
