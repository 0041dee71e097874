-- Run by pg::answer_request as the extension's owner, in a transaction of its own: claims up to $1 requests of the roles
-- that $2 has. Roles take turns, counting what they have under way already, and no model gets more at once than it is
-- to have: neither a long queue nor a slow model keeps the others waiting.
WITH running AS (
    SELECT role, model FROM rag.submitted_answer WHERE state = 'running'
), waiting AS (
    SELECT w.request_id, w.model, w.submitted_at,
           pg_catalog.row_number() OVER (PARTITION BY w.role ORDER BY w.submitted_at, w.request_id)
               + (SELECT pg_catalog.count(*) FROM running r WHERE r.role = w.role) AS turn
      FROM rag.submitted_answer w
     WHERE w.state = 'queued' AND w.ready_at <= pg_catalog.clock_timestamp()
       AND pg_catalog.pg_has_role($2::oid, w.role::oid, 'USAGE')
), placed AS (
    SELECT w.*, pg_catalog.row_number() OVER (PARTITION BY w.model ORDER BY w.turn, w.submitted_at)
                    + (SELECT pg_catalog.count(*) FROM running r WHERE r.model = w.model) AS place
      FROM waiting w
), next AS (
    SELECT s.request_id
      FROM placed p
      JOIN rag.submitted_answer s ON s.request_id = p.request_id
      LEFT JOIN rag.remote_model m ON m.name = p.model
     WHERE s.state = 'queued' AND p.place <= COALESCE(m.concurrency, 1)
     ORDER BY p.turn, p.submitted_at
     LIMIT $1
       FOR UPDATE OF s SKIP LOCKED
)
UPDATE rag.submitted_answer s
   SET state = 'running', started_at = pg_catalog.clock_timestamp(), worker = pg_catalog.pg_backend_pid(),
       worker_started = (SELECT a.backend_start FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a)
  FROM next
 WHERE s.request_id = next.request_id
RETURNING s.request_id, s.role::oid, s.collection_id, s.query_id, s.model, s.question, s.instructions, s.passages, s.places,
          s.attempts, pg_catalog.date_part('epoch', s.started_at - s.submitted_at)::float8
