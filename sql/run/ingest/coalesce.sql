-- Run by pg::worker as the extension's owner, in a transaction of its own: changes become jobs.
-- $1 collections to look at, or NULL for all; $2 most rows of rag.change, and most collections, which share them; $3 the
-- generations that are held. Where one is not, because it is being pruned, the changes wait: the others go on. $4 the collection
-- that had its turn last.
-- A changed document that is waiting, claimed or dead starts anew under a new token, so that work on its
-- previous state is thrown away. Rows are locked in the order of keys, as everywhere.
WITH RECURSIVE waiting (collection_id) AS (
    -- One look at the index for each.
    (SELECT c.collection_id FROM rag.change c ORDER BY c.collection_id LIMIT 1)
     UNION ALL
    SELECT (SELECT c.collection_id FROM rag.change c WHERE c.collection_id > p.collection_id ORDER BY c.collection_id LIMIT 1)
      FROM waiting p WHERE p.collection_id IS NOT NULL
), turn AS MATERIALIZED (
    SELECT c.collection_id FROM waiting c
     WHERE c.collection_id IS NOT NULL AND ($1::int[] IS NULL OR c.collection_id = ANY ($1::int[]))
       AND c.collection_id <> ALL (ARRAY (SELECT g.collection_id FROM rag.generation g
                                           WHERE g.state <> 'retired' AND g.generation_id <> ALL ($3::int[])))
     ORDER BY c.collection_id <= $4, c.collection_id LIMIT $2
), share (size) AS MATERIALIZED (
    SELECT GREATEST($2 / NULLIF(pg_catalog.count(*), 0), 1) FROM turn
), first AS MATERIALIZED (
    SELECT t.collection_id, w.place
      FROM turn t
     CROSS JOIN LATERAL (SELECT c.ctid AS place FROM rag.change c WHERE c.collection_id = t.collection_id
                          ORDER BY c.change_id LIMIT (SELECT size FROM share) FOR UPDATE SKIP LOCKED) AS w
), taken AS (
    DELETE FROM rag.change c WHERE c.ctid = ANY (ARRAY (SELECT f.place FROM first f))
    RETURNING c.change_id, c.collection_id, c.keys, c.changed_at, c.is_insert
), live AS (
    SELECT g.generation_id, g.collection_id FROM rag.generation g WHERE g.state <> 'retired'
), changed AS (
    SELECT t.collection_id, k.key, pg_catalog.min(t.changed_at) AS changed_at,
           (pg_catalog.array_agg(t.is_insert ORDER BY t.change_id))[1] AS is_insert
      FROM taken t CROSS JOIN LATERAL pg_catalog.unnest(t.keys) AS k (key)
     GROUP BY t.collection_id, k.key
), jobs AS (
    INSERT INTO rag.job AS j (generation_id, key, is_new, queued_at)
    SELECT live.generation_id, c.key, c.is_insert, c.changed_at
      FROM changed c JOIN live USING (collection_id)
     ORDER BY live.generation_id, c.key COLLATE "C"
        ON CONFLICT (generation_id, rag.source_hash(NULL, key)) DO UPDATE
       SET token = pg_catalog.nextval('rag.token'), ready_at = pg_catalog.now(), worker = NULL,
           is_dead = false, attempts = 0, losses = 0, failure = NULL, reason = NULL, excerpt = NULL
    RETURNING j.key
), scans AS (
    INSERT INTO rag.scan AS s (generation_id)
    SELECT DISTINCT live.generation_id
      FROM taken t JOIN live USING (collection_id)
     WHERE t.keys IS NULL
     ORDER BY live.generation_id
        ON CONFLICT (generation_id) DO UPDATE SET is_repeated = true
    RETURNING s.generation_id
)
SELECT (SELECT pg_catalog.count(*) FROM taken),
       (SELECT pg_catalog.count(*) FROM jobs),
       (SELECT pg_catalog.array_agg(generation_id) FROM scans),
       (SELECT pg_catalog.count(*) FROM turn) >= $2
           OR EXISTS (SELECT FROM first f GROUP BY f.collection_id HAVING pg_catalog.count(*) >= (SELECT size FROM share)),
       (SELECT t.collection_id FROM turn t ORDER BY t.collection_id <= $4 DESC, t.collection_id DESC LIMIT 1)
