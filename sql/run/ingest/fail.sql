-- Run by workers as the extension's owner, in a transaction after the failed one. Arrays, one element for each job: $1 tokens,
-- $2 attempts so far, $3 those of them that were doubtful, the last in a row, $4 seconds until the retry or NULL if the job is
-- dead, $5 classes, $7 excerpts. For all jobs: $6 reason.
UPDATE rag.job j
   SET worker = NULL,
       losses = GREATEST(j.losses - 1, 0),
       attempts = f.attempts,
       doubtful = f.doubtful,
       is_dead = f.delay IS NULL,
       ready_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => COALESCE(f.delay, 0)),
       failure = f.class,
       reason = $6,
       excerpt = f.excerpt
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::int[]), pg_catalog.unnest($3::int[]),
                  pg_catalog.unnest($4::float8[]), pg_catalog.unnest($5::text[]), pg_catalog.unnest($7::text[]))
       AS f (token, attempts, doubtful, delay, class, excerpt)
 WHERE j.token = f.token
