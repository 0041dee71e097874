-- Run by rag_create_collection and rag_rebuild as the caller, reads catalogs only: publications that take in every new
-- table of a schema ($1, quoted).
SELECT pg_catalog.quote_ident(p.pubname)
  FROM pg_catalog.pg_publication p
 WHERE p.puballtables
    OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace n
                WHERE n.pnpubid OPERATOR(pg_catalog.=) p.oid
                  AND n.pnnspid OPERATOR(pg_catalog.=) $1::pg_catalog.regnamespace::pg_catalog.oid)
 ORDER BY p.pubname
