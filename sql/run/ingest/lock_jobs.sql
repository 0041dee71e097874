-- Run by workers as the extension's owner, first in the transaction that applies: which tokens are valid. A document that
-- changed meanwhile has a new token, and work on it is discarded.
SELECT j.token FROM rag.job j WHERE j.token = ANY ($1) ORDER BY j.generation_id, j.key FOR UPDATE
