-- Run by rag_grant_model and rag_revoke_model with the rights of the extension's owner; a row if there is
-- such a model, kept until the transaction ends.
SELECT name FROM rag.remote_model WHERE name = $1 FOR KEY SHARE
