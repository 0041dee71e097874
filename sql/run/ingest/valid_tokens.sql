-- Run by workers as the extension's owner while they work on claimed jobs: which of the tokens $1 are valid. A document that
-- changed or went meanwhile has a job with another token, or none.
SELECT j.token FROM rag.job j WHERE j.token = ANY ($1)
