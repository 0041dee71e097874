-- Run by workers as the extension's owner, in the transaction that applies.
SELECT pg_catalog.nextval('rag.chunk_id') FROM pg_catalog.generate_series(1, $1)
