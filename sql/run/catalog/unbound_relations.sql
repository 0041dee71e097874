-- Run by catalog::objects as the extension's owner: relations of a collection ($1) that DROP TABLE of its source would not take along.
SELECT r.oid, c.source::oid
  FROM rag.collection c
 CROSS JOIN LATERAL (SELECT c.view::oid
                     UNION ALL
                     SELECT t.oid FROM rag.generation g
                      CROSS JOIN LATERAL pg_catalog.unnest(
                          ARRAY [g.documents::oid, g.chunks::oid, g.bits::oid, g.segments::oid, g.postings::oid]) AS t (oid)
                      WHERE g.collection_id = c.collection_id) AS o (oid)
  JOIN pg_catalog.pg_class r ON r.oid = o.oid
  JOIN pg_catalog.pg_class s ON s.oid = c.source
 WHERE c.collection_id = $1
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass::oid AND d.objid = r.oid AND d.objsubid = 0
                      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::oid AND d.refobjid = s.oid AND d.refobjsubid = 0
                      AND d.deptype = 'a')
