-- Run by workers and rag_work as the extension's owner, in a transaction of its own: claims up to $1 requests of the roles
-- that $2 has. Roles take turns, counting their running requests, and no model has more running than its concurrency:
-- neither a long queue nor a slow model delays the others. $3 are requests of this process that wait for a
-- user's transaction; their models are done.
-- Of a role's queue for a model, no more rows are read than there is room for, so that a long one costs no more.
WITH RECURSIVE running AS (
    SELECT role, model FROM rag.submitted_answer WHERE state = 'running' AND request_id <> ALL ($3)
), line AS (
    -- By leaps through the index.
    (SELECT role, model FROM rag.submitted_answer WHERE state = 'queued' ORDER BY role, model LIMIT 1)
    UNION ALL
    SELECT following.*
      FROM line l
     CROSS JOIN LATERAL (SELECT w.role, w.model FROM rag.submitted_answer w
                          WHERE w.state = 'queued' AND (w.role, w.model) > (l.role, l.model)
                          ORDER BY w.role, w.model LIMIT 1) AS following
), open AS (
    SELECT l.role, l.model,
           GREATEST(COALESCE(m.concurrency, 1) - (SELECT pg_catalog.count(*) FROM running r WHERE r.model = l.model), 0) AS room,
           (SELECT pg_catalog.count(*) FROM running r WHERE r.role = l.role) AS under_way
      FROM line l
      LEFT JOIN rag.remote_model m ON m.name = l.model
     WHERE pg_catalog.pg_has_role($2::oid, l.role::oid, 'USAGE')
), queued AS (
    SELECT w.request_id, w.ready_at, o.model, o.room,
           o.under_way + pg_catalog.row_number() OVER (PARTITION BY o.role ORDER BY w.ready_at, w.request_id) AS turn
      FROM open o
     -- Locked before they are counted: a request that is being canceled takes no turn.
     CROSS JOIN LATERAL (SELECT s.request_id, s.ready_at FROM rag.submitted_answer s
                          WHERE s.state = 'queued' AND s.role = o.role AND s.model = o.model AND s.ready_at <= pg_catalog.now()
                          ORDER BY s.ready_at LIMIT LEAST(o.room, $1) FOR UPDATE SKIP LOCKED) AS w
), numbered AS (
    SELECT w.*, pg_catalog.row_number() OVER (PARTITION BY w.model ORDER BY w.turn, w.ready_at) AS n FROM queued w
), next AS (
    SELECT p.request_id FROM numbered p WHERE p.n <= p.room ORDER BY p.turn, p.ready_at LIMIT $1
)
UPDATE rag.submitted_answer s
   SET state = 'running', started_at = pg_catalog.clock_timestamp(), worker = pg_catalog.pg_backend_pid(),
       worker_started = (SELECT a.backend_start FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a)
  FROM next
 WHERE s.request_id = next.request_id
RETURNING s.request_id AS id, s.role::oid AS role, s.collection_id AS collection, s.query_id, s.model, s.question, s.instructions, s.passages, s.places,
          s.attempts, pg_catalog.date_part('epoch', s.started_at - s.submitted_at)::float8 AS age, s.loading, s.fallback
