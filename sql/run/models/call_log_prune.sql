-- Run by workers and rag_work as the extension's owner: takes out up to $2 calls older than $1 seconds.
DELETE FROM rag.logged_call
 WHERE call_id IN (SELECT call_id
                     FROM rag.logged_call
                    WHERE called_at < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1)
                    ORDER BY called_at
                    LIMIT $2
                      FOR UPDATE SKIP LOCKED)
