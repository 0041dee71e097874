-- Run by workers as the extension's owner in the transaction that applies: deletes the jobs $1. Returns when the first of them
-- was queued.
WITH done AS (
    DELETE FROM rag.job WHERE token = ANY ($1) RETURNING queued_at
)
SELECT pg_catalog.min(done.queued_at) FROM done
