-- Run by ingest::pipeline::apply as the extension's owner, first in the transaction that applies: which claims still
-- hold. A document that changed meanwhile has a new token, and its work is thrown away.
SELECT j.token FROM rag.job j WHERE j.token = ANY ($1) ORDER BY j.generation_id, j.key FOR UPDATE
