-- Run by workers and rag_work as the extension's owner: whether some request has not ended.
SELECT EXISTS (SELECT FROM rag.submitted_answer WHERE state = 'queued')
       OR EXISTS (SELECT FROM rag.submitted_answer WHERE state = 'running')
