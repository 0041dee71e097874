-- Run by rag_verify: whether a collection's view is there and asks with the rights of who reads it.
SELECT 1
  FROM rag.collection c
  JOIN pg_catalog.pg_class v ON v.oid = c.view
 WHERE c.collection_id = $1 AND v.relkind = 'v'
   AND EXISTS (SELECT FROM pg_catalog.unnest(v.reloptions) AS o (option) WHERE o.option = 'security_invoker=true')
