-- Run by workers as the extension's owner, last in the transaction that applies.
-- $1 generation; differences: $2 documents, $3 chunks, $4 embedded chunks, $5 embedded tokens, $6 chunks whose vectors another
-- generation had; $7 documents done, the first of which was queued at $8.
-- The rate is that of all workers together, a moving average with a half-life of 30 seconds: documents done over the time
-- since any worker last stored, or since the first was queued if that is later.
INSERT INTO rag.progress AS p (generation_id, indexed, chunks, embedded, tokens, reused, worker, heartbeat)
VALUES ($1, $2, $3, $4, $5, $6, pg_catalog.pg_backend_pid(), pg_catalog.clock_timestamp())
    ON CONFLICT (generation_id) DO UPDATE
   SET indexed = p.indexed + EXCLUDED.indexed,
       chunks = p.chunks + EXCLUDED.chunks,
       embedded = p.embedded + EXCLUDED.embedded,
       tokens = p.tokens + EXCLUDED.tokens,
       reused = p.reused + EXCLUDED.reused,
       rate = CASE WHEN $7::bigint = 0 THEN p.rate
                   ELSE (SELECT COALESCE(p.rate * t.fade + $7 / t.seconds * (1 - t.fade), $7 / t.seconds)
                           FROM (SELECT s.seconds, pg_catalog.power(0.5::float8, s.seconds / 30) AS fade
                                   FROM (SELECT GREATEST(EXTRACT(epoch FROM EXCLUDED.heartbeat
                                                                          - GREATEST(p.rated_at, $8::timestamptz))::float8,
                                                         0.001)) AS s (seconds)) AS t) END,
       rated_at = CASE WHEN $7::bigint = 0 THEN p.rated_at ELSE EXCLUDED.heartbeat END,
       worker = EXCLUDED.worker,
       heartbeat = EXCLUDED.heartbeat,
       error = NULL,
       sqlstate = NULL
