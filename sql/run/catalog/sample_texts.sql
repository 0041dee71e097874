-- Run by rag_create_collection and rag_rebuild as the source's owner: how some texts begin.
SELECT pg_catalog.left({content}, 500) FROM (SELECT * FROM {source} LIMIT 100) s
