-- Run by rag_attach_collection; reads catalogs only: the tables of these names ($2: chunks, token bits, segments, postings) in the schema of
-- the documents ($1), which is the first of them; NULL for one that is not there. No other collection has one of them.
SELECT r.oid, r.relowner AS owner,
       EXISTS (SELECT FROM rag.generation g
                WHERE r.oid IN (g.documents::oid, g.chunks::oid, g.bits::oid, g.segments::oid, g.postings::oid)) AS is_used,
       n.name IS NOT NULL AS is_wanted
  FROM pg_catalog.pg_class d
 CROSS JOIN LATERAL pg_catalog.unnest(ARRAY [d.relname::text] || $2) WITH ORDINALITY AS n (name, position)
  LEFT JOIN pg_catalog.pg_class r ON r.relnamespace = d.relnamespace AND r.relname = n.name::name
 WHERE d.oid = $1
 ORDER BY n.position
