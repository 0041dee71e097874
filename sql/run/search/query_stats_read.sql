-- Run by rag_query_stats as the extension's owner: $1 to $5 as in query_stats_store.sql, $6 who asks, $7 whether calls are counted,
-- so that none is shown as none.
SELECT c.name AS collection, k.kind,
       ARRAY(SELECT COALESCE(t.earlier[at], 0) + CASE WHEN n.incarnation = t.incarnation THEN 0 ELSE COALESCE(t.counters[at], 0) END
                    + COALESCE(n.counters[at], 0)
               FROM pg_catalog.generate_series(1, $5) AS at
              ORDER BY at) AS numbers
  FROM rag.any_collection c
  JOIN pg_catalog.pg_class r ON r.oid = c.source
 CROSS JOIN (VALUES ('search'), ('answer')) AS k (kind)
  LEFT JOIN rag.query_total t ON t.collection_id = c.collection_id AND t.kind = k.kind
  LEFT JOIN (SELECT n.collection_id, n.kind, n.incarnation, ($4::bigint[])[(n.at - 1) * $5 + 1 : n.at * $5]
               FROM ROWS FROM (pg_catalog.unnest($1::int[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::bigint[])) WITH ORDINALITY
                    AS n (collection_id, kind, incarnation, at)) AS n (collection_id, kind, incarnation, counters)
         ON n.collection_id = c.collection_id AND n.kind = k.kind
 WHERE (pg_catalog.pg_has_role($6::oid, r.relowner, 'USAGE') OR pg_catalog.pg_has_role($6::oid, 'pg_monitor', 'USAGE'))
   AND ($7 OR t.collection_id IS NOT NULL)
 ORDER BY c.name, k.kind DESC
