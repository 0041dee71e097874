-- Run by whoever looks a collection up, and by workers: the version of the extension's objects in this database.
SELECT x.extversion FROM pg_catalog.pg_extension x WHERE x.extname = 'rag_pg'
