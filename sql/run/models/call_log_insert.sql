-- Run by models::call_log as the extension's owner: finished values only. Arrays, one element a call: $1 moments as seconds
-- of the epoch, $2 roles, $3 collections or 0, $4 models, $5 purposes, $6 texts, $7 and $8 tokens read and written,
-- $9 whether these are estimates, $10 milliseconds, $11 attempts, $12 statuses or 0, $13 whether it succeeded,
-- $14 request ids or empty, $15 costs or NULL.
WITH calls AS (
    SELECT pg_catalog.to_timestamp(c.at) AS called_at, c.role::oid::pg_catalog.regrole AS role, NULLIF(c.collection, 0) AS collection_id,
           c.model, c.purpose, c.items, c.read, c.written, c.is_estimate, c.milliseconds, c.attempts,
           NULLIF(c.status, 0) AS status, c.succeeded, NULLIF(c.request_id, '') AS request_id, c.cost
      FROM ROWS FROM (pg_catalog.unnest($1::float8[]), pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::int[]),
                      pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::text[]), pg_catalog.unnest($6::int[]),
                      pg_catalog.unnest($7::bigint[]), pg_catalog.unnest($8::bigint[]), pg_catalog.unnest($9::boolean[]),
                      pg_catalog.unnest($10::bigint[]), pg_catalog.unnest($11::int[]), pg_catalog.unnest($12::int[]),
                      pg_catalog.unnest($13::boolean[]), pg_catalog.unnest($14::text[]), pg_catalog.unnest($15::float8[]))
           AS c (at, role, collection, model, purpose, items, read, written, is_estimate, milliseconds, attempts, status,
                 succeeded, request_id, cost)
), total AS (
    -- Only of collections that are still there; in one order, since others add too.
    INSERT INTO rag.call_total AS t (collection_id, calls, tokens, cost)
    SELECT c.collection_id, pg_catalog.count(*), pg_catalog.sum(c.read + c.written)::bigint, pg_catalog.sum(c.cost)
      FROM calls c
     WHERE EXISTS (SELECT FROM rag.collection o WHERE o.collection_id = c.collection_id)
     GROUP BY c.collection_id
     ORDER BY c.collection_id
        ON CONFLICT (collection_id) DO UPDATE
       SET calls = t.calls + EXCLUDED.calls,
           tokens = t.tokens + EXCLUDED.tokens,
           cost = COALESCE(t.cost + EXCLUDED.cost, t.cost, EXCLUDED.cost)
)
INSERT INTO rag.logged_call (called_at, role, collection_id, model, purpose, items, input_tokens, output_tokens, is_estimate,
                             milliseconds, attempts, status, succeeded, request_id, cost)
SELECT called_at, role, collection_id, model, purpose, items, read, written, is_estimate,
       milliseconds, attempts, status, succeeded, request_id, cost
  FROM calls
