-- Run by rag_create_collection and rag_rebuild as the source's owner: how some texts begin.
SELECT pg_catalog.left(b.content, 500) FROM (SELECT {content} AS content FROM {source} s LIMIT 100) b
