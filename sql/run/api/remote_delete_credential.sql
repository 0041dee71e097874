-- Run by rag_drop_credential with the rights of the extension's owner; no row: there is no such credential.
DELETE FROM rag.credential WHERE name = $1
