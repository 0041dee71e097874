-- Run by catalog::objects before it creates a collection's view: the view of that name ($1) that a dump of the schema alone brought
-- back. It is its owner's, asks the source ($2), and has the columns of ours behind those of the key ($3 of them).
SELECT v.oid
  FROM pg_catalog.pg_class v
  JOIN pg_catalog.pg_class s ON s.oid = $2 AND s.relowner = v.relowner
 WHERE v.oid = pg_catalog.to_regclass($1)::oid AND v.relkind = 'v' AND 'security_invoker=true' = ANY (v.reloptions)
   AND EXISTS (SELECT FROM pg_catalog.pg_rewrite w
                 JOIN pg_catalog.pg_depend d
                   ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::oid AND d.objid = w.oid
                      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::oid AND d.refobjid = $2
                WHERE w.ev_class = v.oid)
   AND ARRAY (SELECT a.attname::text FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = v.oid AND a.attnum > $3 AND NOT a.attisdropped ORDER BY a.attnum)
       = ARRAY ['chunk_id', 'ordinal', 'content', 'token_count', 'char_start', 'char_end', 'metadata', 'embedding']
