-- Part of answer/settle.sql: its provider did not accept it yet, so it is queued again for $2 seconds from now. $3 SQLSTATE and $4 message
-- of the reason.
           state = 'queued', attempts = s.attempts + 1, worker = NULL, sqlstate = $3, message = $4,
           ready_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2)
