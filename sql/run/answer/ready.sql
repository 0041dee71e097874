-- Run by workers and rag_work as the extension's owner: when the next queued request is ready; NULL if none is queued.
SELECT pg_catalog.min(ready_at) FROM rag.submitted_answer WHERE state = 'queued'
