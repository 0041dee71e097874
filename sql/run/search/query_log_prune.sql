-- Run by workers and rag_work as the extension's owner: takes out up to $2 queries older than $1 seconds.
-- Feedback goes with its query.
DELETE FROM rag.logged_query
 WHERE query_id IN (SELECT query_id
                      FROM rag.logged_query
                     WHERE logged_at < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1)
                     ORDER BY logged_at
                     LIMIT $2
                       FOR UPDATE SKIP LOCKED)
