-- Run by workers as the extension's owner, in a transaction after the failed one. Arrays, one element for each job: $1 tokens,
-- $2 attempts so far, $3 seconds until the retry or NULL if the job is dead, $6 excerpts. For all jobs: $4 class, $5 reason.
UPDATE rag.job j
   SET worker = NULL,
       losses = GREATEST(j.losses - 1, 0),
       attempts = f.attempts,
       is_dead = f.delay IS NULL,
       ready_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => COALESCE(f.delay, 0)),
       failure = $4,
       reason = $5,
       excerpt = f.excerpt
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::int[]),
                  pg_catalog.unnest($3::float8[]), pg_catalog.unnest($6::text[]))
       AS f (token, attempts, delay, excerpt)
 WHERE j.token = f.token
