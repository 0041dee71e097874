-- Run by workers and rag_work as the extension's owner: deletes up to $2 answers that ended more than $1 seconds ago.
DELETE FROM rag.submitted_answer
 WHERE request_id IN (SELECT request_id FROM rag.submitted_answer
                       WHERE finished_at < pg_catalog.now() - pg_catalog.make_interval(secs => $1)
                       ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)
