-- Run by rag_attach_collection as the extension's owner: chunk ids up to $1 are taken. The margin is for ids that others take between the two
-- steps: going back would give them out twice.
SELECT pg_catalog.setval('rag.chunk_id', $1 + 1000000) FROM rag.chunk_id s WHERE s.last_value <= $1
