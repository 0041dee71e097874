-- Run by rag_verify as the source's owner.
SELECT (SELECT pg_catalog.count(1) FROM {documents}), (SELECT pg_catalog.count(1) FROM {chunks})
