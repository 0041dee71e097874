-- Run by workers as the extension's owner, last in the transaction that applies.
-- $1 generation; differences: $2 documents, $3 chunks, $4 embedded chunks, $5 embedded tokens, $6 chunks whose vectors another
-- generation had; $7 documents done, the first of which was queued at $8; differences: $9 extracted pages, $10 seconds of that.
-- The rate is that of all workers together, an average in which what was 30 seconds ago counts half. It is of documents done since any
-- worker last stored, or since the first was queued if that is later: those stored now and what the other workers have in hand,
-- without what they had in hand then.
INSERT INTO rag.progress AS p (generation_id, indexed, chunks, embedded, tokens, reused, pages, extracting, worker, heartbeat)
VALUES ($1, $2, $3, $4, $5, $6, $9, $10, pg_catalog.pg_backend_pid(), pg_catalog.clock_timestamp())
    ON CONFLICT (generation_id) DO UPDATE
   SET indexed = p.indexed + EXCLUDED.indexed,
       chunks = p.chunks + EXCLUDED.chunks,
       embedded = p.embedded + EXCLUDED.embedded,
       tokens = p.tokens + EXCLUDED.tokens,
       reused = p.reused + EXCLUDED.reused,
       pages = p.pages + EXCLUDED.pages,
       extracting = p.extracting + EXCLUDED.extracting,
       (rate, rate_weight, rated_at, in_hand) =
           (SELECT p.rate, p.rate_weight, p.rated_at, p.in_hand WHERE $7::bigint = 0
             UNION ALL
            SELECT (COALESCE(p.rate, 0) * w.old + GREATEST($7 + h.documents - p.in_hand, 0) / s.seconds * w.new) / (w.old + w.new),
                   w.old + w.new, EXCLUDED.heartbeat, h.documents
              FROM (SELECT GREATEST(EXTRACT(epoch FROM EXCLUDED.heartbeat - GREATEST(p.rated_at, $8::timestamptz))::float8,
                                    0.001)) AS s (seconds)
             CROSS JOIN LATERAL (SELECT pg_catalog.power(0.5::float8, s.seconds / 30)) AS t (fade)
             CROSS JOIN LATERAL (SELECT p.rate_weight * t.fade, 1 - t.fade) AS w (old, new)
             -- Each worker's share of the rate, as in rag.generation_status.
             CROSS JOIN LATERAL (
                   SELECT COALESCE(pg_catalog.sum(LEAST(b.begun, COALESCE(p.rate, 0) / b.workers
                                * EXTRACT(epoch FROM EXCLUDED.heartbeat - b.since)::float8)), 0)
                     FROM (SELECT pg_catalog.count(j.begun_at) AS begun, pg_catalog.min(j.begun_at) AS since,
                                  1 + pg_catalog.count(*) OVER () AS workers
                             FROM rag.job j
                            WHERE j.generation_id = p.generation_id AND j.worker <> pg_catalog.pg_backend_pid() AND NOT j.is_dead
                              AND j.ready_at > EXCLUDED.heartbeat
                            GROUP BY j.worker) AS b) AS h (documents)
             WHERE $7 > 0),
       worker = EXCLUDED.worker,
       heartbeat = EXCLUDED.heartbeat,
       error = NULL,
       sqlstate = NULL
