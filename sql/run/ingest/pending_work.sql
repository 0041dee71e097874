-- Run by workers as the extension's owner: generations that may have work.
-- $1 collections to look at, or NULL for all; $2 chunks from which on a generation is calibrated.
SELECT g.generation_id,
       EXISTS (SELECT FROM rag.scan s WHERE s.generation_id = g.generation_id) AS has_scan,
       EXISTS (SELECT FROM rag.job j
                WHERE j.generation_id = g.generation_id AND NOT j.is_dead
                  AND j.ready_at <= pg_catalog.clock_timestamp()) AS has_jobs,
       g.loaded_at IS NOT NULL AND g.index_wanted
           OR g.loaded_at IS NULL
           AND NOT EXISTS (SELECT FROM rag.scan s WHERE s.generation_id = g.generation_id)
           AND NOT EXISTS (SELECT FROM rag.job j
                            WHERE j.generation_id = g.generation_id AND NOT j.is_dead AND j.is_new) AS wants_index,
       (SELECT pg_catalog.min(j.ready_at) FROM rag.job j
         WHERE j.generation_id = g.generation_id AND NOT j.is_dead) AS ready_at,
       EXISTS (SELECT FROM rag.job j
                WHERE j.generation_id = g.generation_id AND j.worker <> pg_catalog.pg_backend_pid()
                  AND NOT j.is_dead AND j.ready_at > pg_catalog.clock_timestamp()) AS is_claimed,
       g.switches AND g.state = 'building' AND g.loaded_at IS NOT NULL
           AND EXISTS (SELECT FROM rag.generation_status s
                        WHERE s.generation = g.generation_id AND s.behind = 0) AS can_switch,
       g.state = 'building' AS is_building,
       g.loaded_at IS NOT NULL
           AND (g.calibrating_until IS NULL OR g.calibrating_until < pg_catalog.clock_timestamp())
           AND EXISTS (SELECT FROM rag.progress p
                        WHERE p.generation_id = g.generation_id
                          AND p.chunks >= GREATEST($2, 2 * g.calibrated_chunks)) AS wants_calibration
  FROM rag.generation g
  JOIN rag.collection c ON c.collection_id = g.collection_id
 WHERE g.state <> 'retired' AND c.paused IS NULL AND g.paused IS NULL AND c.home = rag.home(c.source)
   AND ($1::int[] IS NULL OR c.collection_id = ANY ($1::int[]))
 ORDER BY g.generation_id
