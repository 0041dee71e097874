-- Run by rag_verify: which of the tables $1 are not governed by the policy of their source.
SELECT c.oid
  FROM pg_catalog.pg_class c
 WHERE c.oid = ANY ($1)
   AND NOT (c.relrowsecurity
            AND EXISTS (SELECT FROM pg_catalog.pg_policy p
                         WHERE p.polrelid = c.oid AND p.polname = 'source_visible' AND p.polcmd = 'r'
                           AND p.polpermissive AND p.polroles = ARRAY [0::oid]))
