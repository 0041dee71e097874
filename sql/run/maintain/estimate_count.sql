-- Run by rag_estimate and rag_rebuild as the source's owner, where nobody knows how many rows there are.
SELECT pg_catalog.count(*) FROM (SELECT FROM {source} LIMIT 1000000) s
