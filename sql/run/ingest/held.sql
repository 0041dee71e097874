-- Run by ingest::queue::lease as the extension's owner while it works on claims ($1): which of them still hold. A document that
-- changed or went meanwhile has a job with another token, or none.
SELECT j.token FROM rag.job j WHERE j.token = ANY ($1)
