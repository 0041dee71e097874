-- Run by ingest::pipeline::apply as the extension's owner in the transaction that applies: these jobs ($1) are done. Since when the
-- first of them has been waiting.
WITH done AS (
    DELETE FROM rag.job WHERE token = ANY ($1) RETURNING queued_at
)
SELECT pg_catalog.min(done.queued_at) FROM done
