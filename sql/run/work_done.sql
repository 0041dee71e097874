-- Run by pg::worker as the extension's owner, last in the transaction that applies.
-- $1 tokens done, $2 generation; $3 documents more, $4 chunks more, $5 chunks embedded, $6 tokens
-- embedded, $7 documents a second or NULL, $8 chunks whose vectors another generation had.
WITH done AS (
    DELETE FROM rag.job WHERE token = ANY ($1)
)
INSERT INTO rag.progress AS p (generation_id, indexed, chunks, embedded, tokens, rate, reused, worker, heartbeat)
VALUES ($2, $3, $4, $5, $6, $7, $8, pg_catalog.pg_backend_pid(), pg_catalog.clock_timestamp())
    ON CONFLICT (generation_id) DO UPDATE
   SET indexed = p.indexed + EXCLUDED.indexed,
       chunks = p.chunks + EXCLUDED.chunks,
       embedded = p.embedded + EXCLUDED.embedded,
       reused = p.reused + EXCLUDED.reused,
       tokens = p.tokens + EXCLUDED.tokens,
       rate = COALESCE(EXCLUDED.rate, p.rate),
       worker = EXCLUDED.worker,
       heartbeat = EXCLUDED.heartbeat,
       error = NULL,
       sqlstate = NULL
