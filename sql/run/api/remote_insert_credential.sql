-- Run by rag_create_credential with the rights of the extension's owner; no row: the name is taken.
INSERT INTO rag.credential (name, url_prefix, file, env) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
