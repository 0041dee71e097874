-- Run by rag_explain as the caller: name of the relation $1 of a plan, and the access method if it is an index.
SELECT pg_catalog.quote_ident(c.relname) AS name, a.amname::pg_catalog.text AS method
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
        AND (c.relkind OPERATOR(pg_catalog.=) 'i' OR c.relkind OPERATOR(pg_catalog.=) 'I')
 WHERE c.oid OPERATOR(pg_catalog.=) $1
