-- Run by rag_drop_model with the rights of the extension's owner; no row: there is no such model.
DELETE FROM rag.remote_model WHERE name = $1
