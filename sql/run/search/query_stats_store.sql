-- Run by search::query_stats as the extension's owner, under a lock that keeps others who store out: $1 to $3 collections, kinds and incarnations of
-- counters in memory, $4 their numbers, $5 of each. Returns the collections that are not there, whose counters are nobody's.
WITH new AS (
    SELECT n.collection_id, n.kind, n.incarnation, ($4::bigint[])[(n.at - 1) * $5 + 1 : n.at * $5] AS counters,
           EXISTS (SELECT FROM rag.any_collection c WHERE c.collection_id = n.collection_id) AS is_there
      FROM ROWS FROM (pg_catalog.unnest($1::int[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::bigint[])) WITH ORDINALITY
           AS n (collection_id, kind, incarnation, at)
), stored AS (
    INSERT INTO rag.query_total AS t (collection_id, kind, earlier, incarnation, counters)
    SELECT n.collection_id, n.kind, pg_catalog.array_fill(0::bigint, ARRAY[$5]), n.incarnation, n.counters
      FROM new n
     WHERE n.is_there AND n.counters[1] > 0
        ON CONFLICT (collection_id, kind) DO UPDATE
       SET earlier = CASE WHEN t.incarnation = EXCLUDED.incarnation THEN t.earlier
                          ELSE ARRAY(SELECT t.earlier[at] + t.counters[at] FROM pg_catalog.generate_series(1, $5) AS at ORDER BY at) END,
           incarnation = EXCLUDED.incarnation,
           counters = EXCLUDED.counters
     WHERE t.incarnation <> EXCLUDED.incarnation OR t.counters[1] <> EXCLUDED.counters[1]
)
SELECT DISTINCT n.collection_id FROM new n WHERE NOT n.is_there
