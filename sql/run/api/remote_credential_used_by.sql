-- Run by rag_drop_credential with the rights of the extension's owner: a model that is called with it.
SELECT name FROM rag.remote_model WHERE credential = $1 ORDER BY name LIMIT 1
