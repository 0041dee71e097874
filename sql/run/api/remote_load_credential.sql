-- Run by rag_create_model with the rights of the extension's owner.
SELECT name, url_prefix, file, env FROM rag.credential WHERE name = $1
