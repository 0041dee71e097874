-- Run by answer::request as the extension's owner: when the next waiting request is ready; NULL where none waits.
SELECT pg_catalog.min(ready_at) FROM rag.submitted_answer WHERE state = 'queued'
