-- Part of answer/settle.sql: the end. $2 state, $3 answer, $4 citations, $5 status, $6 claims, $7 usage, $8 SQLSTATE,
-- $9 message, $10 detail, $11 hint.
           state = $2, answer = $3, citations = $4, status = $5, claims = $6, usage = $7, sqlstate = $8, message = $9,
           detail = $10, hint = $11, finished_at = pg_catalog.clock_timestamp(), passages = '{}', places = '[]', fallback = NULL
