-- Part of answer/settle.sql: its provider did not take it yet, so it waits for $2 seconds. $3 SQLSTATE and $4 message
-- tell why.
           state = 'queued', attempts = s.attempts + 1, worker = NULL, sqlstate = $3, message = $4,
           ready_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2)
