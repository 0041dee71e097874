-- Run by rag_verify: tables of the source without all triggers of the collection, enabled and whole, and tables
-- that have them and should not (second column). $1 the collection's name, $2 source, $3 collection, $4 whether
-- a trigger of the source's own may change rows on their way in: then an update of any column counts. $5 whether the
-- collection heeds logical replication: then there are two triggers more, which partitions inherit.
WITH part AS (
    SELECT t.relid::oid AS relid, t.kind = 'p' OR t.is_tree AS is_tree
      FROM (SELECT r.oid AS relid, r.relkind::text AS kind, false AS is_tree FROM pg_catalog.pg_class r
             WHERE r.oid = $2 AND r.relkind <> 'p'
             UNION ALL
            SELECT p.relid::oid, 'p', true FROM pg_catalog.pg_partition_tree($2::pg_catalog.regclass) p) t
), mine AS (
    SELECT t.tgrelid, e.event, t.tgenabled, t.tgattr, t.tgtype
      FROM pg_catalog.unnest(ARRAY ['insert', 'update', 'delete', 'truncate', 'replica', 'replica_update']) AS e (event)
      JOIN ({own_triggers}) t ON t.tgname = pg_catalog.format('rag_pg_%s_%s', $3::int, e.event)::name
     WHERE t.tgrelid IN (SELECT p.relid FROM part p)
        OR t.tgrelid IN (SELECT r.oid FROM rag.source_partition s
                           JOIN pg_catalog.pg_class r ON r.oid = s.partition::oid
                           JOIN pg_catalog.pg_class c ON c.oid = $2 AND c.relowner = r.relowner
                          WHERE s.collection_id = $3)
), fine AS (
    SELECT m.tgrelid, pg_catalog.count(1) AS triggers
      FROM mine m
     WHERE CASE WHEN m.event LIKE 'replica%' THEN m.tgenabled IN ('R', 'A') AND $5
                WHEN m.event = 'truncate' AND $5 THEN m.tgenabled = 'A'
                ELSE m.tgenabled IN ('O', 'A')
           END
       -- A statement on the partitioned table fires no statement trigger of a partition.
       AND (m.event NOT IN ('insert', 'delete') OR m.tgtype & 1::int2 = 1::int2
            OR EXISTS (SELECT FROM part p JOIN pg_catalog.pg_class r ON r.oid = p.relid
                        WHERE p.relid = m.tgrelid AND (p.is_tree OR NOT r.relispartition)))
       -- The tables of a tree notice updates a statement at a time; another, of certain columns, a row.
       AND (m.event <> 'update'
            OR EXISTS (SELECT FROM part p WHERE p.relid = m.tgrelid AND p.is_tree AND m.tgtype & 1::int2 = 0::int2)
            OR m.tgtype & 1::int2 = 1::int2 AND (NOT $4 OR pg_catalog.cardinality(m.tgattr::int2[]) = 0))
     GROUP BY m.tgrelid
)
SELECT COALESCE(p.relid, m.tgrelid), p.relid IS NULL
  FROM part p
  FULL JOIN (SELECT DISTINCT tgrelid FROM mine) m ON m.tgrelid = p.relid
 WHERE p.relid IS NULL
    OR NOT EXISTS (SELECT FROM fine f
                    WHERE f.tgrelid = p.relid
                      AND f.triggers = (SELECT pg_catalog.count(1) FROM mine o WHERE o.tgrelid = p.relid)
                      AND f.triggers = CASE WHEN $5 THEN 6 ELSE 4 END)
