-- Run by rag_explain as the caller: what to call the relation $1 of a plan.
SELECT CASE WHEN c.relam <> 0 AND c.relkind IN ('i', 'I') THEN a.amname || ' index ' ELSE 'sequential scan of ' END
       || pg_catalog.quote_ident(c.relname)
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
 WHERE c.oid OPERATOR(pg_catalog.=) $1
