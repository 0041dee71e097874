-- Answers that workers get: what rag_answer_submit was asked, and what came of it. Run by CREATE EXTENSION. Nobody but the
-- extension's owner may touch the table: functions write finished values, the view shows them. It is not dumped: what was
-- asked on one server is not to be paid for on another, and pg_dump gives up at the first table it may not read.
CREATE TABLE rag.submitted_answer (
    -- Nobody can guess it, so an application whose users share a role may hand it out.
    request_id     uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
    role           regrole NOT NULL,
    -- No foreign keys: requests outlive collections, models and logs.
    collection_id  int,
    query_id       bigint,
    model          text COLLATE "C" NOT NULL,
    question       text NOT NULL,
    instructions   text,
    -- What the role was allowed to see when it asked, the best first; emptied with the end.
    passages       text[] NOT NULL,
    places         jsonb NOT NULL,
    -- What is said where these hold no answer, if not all documents could be found then.
    loading        text,
    -- The answer in the passages' own sentences, for where the model gives none; emptied with the end.
    fallback       jsonb,
    state          text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'canceled')),
    submitted_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    ready_at       timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    started_at     timestamptz,
    finished_at    timestamptz,
    attempts       int NOT NULL DEFAULT 0,
    worker         int,
    -- A process id alone may be another process's by now.
    worker_started timestamptz,
    -- A copy of the database has its requests too, and is not to ask for them again.
    home           text NOT NULL DEFAULT rag.home(0::oid),
    answer         text,
    citations      jsonb,
    status         text,
    claims         jsonb,
    usage          jsonb,
    sqlstate       text,
    message        text,
    detail         text,
    hint           text
);
CREATE INDEX ON rag.submitted_answer (role, model, ready_at) WHERE state = 'queued';
CREATE INDEX ON rag.submitted_answer (ready_at) WHERE state = 'queued';
CREATE INDEX ON rag.submitted_answer (worker) WHERE state = 'running';
CREATE INDEX ON rag.submitted_answer (finished_at) WHERE finished_at IS NOT NULL;
COMMENT ON TABLE rag.submitted_answer IS 'answers that workers get; the view rag.answer_request shows them';
COMMENT ON COLUMN rag.submitted_answer.request_id IS 'number of the request, by which it is fetched';
COMMENT ON COLUMN rag.submitted_answer.role IS 'who submitted it';
COMMENT ON COLUMN rag.submitted_answer.collection_id IS 'the collection it is about, or NULL';
COMMENT ON COLUMN rag.submitted_answer.query_id IS 'its number in rag.query_log, or NULL';
COMMENT ON COLUMN rag.submitted_answer.model IS 'the generator that is asked';
COMMENT ON COLUMN rag.submitted_answer.question IS 'what was asked';
COMMENT ON COLUMN rag.submitted_answer.instructions IS 'how to answer, or NULL';
COMMENT ON COLUMN rag.submitted_answer.passages IS 'texts that the role was allowed to see when it asked, the best first; emptied with the end';
COMMENT ON COLUMN rag.submitted_answer.places IS 'where these are from';
COMMENT ON COLUMN rag.submitted_answer.loading IS 'what is said where the passages hold no answer and not all documents could be found, or NULL';
COMMENT ON COLUMN rag.submitted_answer.fallback IS 'the answer in the passages'' own sentences, for where the model gives none; emptied with the end';
COMMENT ON COLUMN rag.submitted_answer.state IS 'queued, running, done, failed or canceled';
COMMENT ON COLUMN rag.submitted_answer.submitted_at IS 'when it was submitted';
COMMENT ON COLUMN rag.submitted_answer.ready_at IS 'not before: when it is to be taken up';
COMMENT ON COLUMN rag.submitted_answer.started_at IS 'when a worker first took it up, or NULL';
COMMENT ON COLUMN rag.submitted_answer.finished_at IS 'when it ended, or NULL';
COMMENT ON COLUMN rag.submitted_answer.attempts IS 'how often the provider put it off';
COMMENT ON COLUMN rag.submitted_answer.worker IS 'process id of whoever took it up last, or NULL';
COMMENT ON COLUMN rag.submitted_answer.worker_started IS 'when that process started: a number alone may be that of another by now';
COMMENT ON COLUMN rag.submitted_answer.home IS 'cluster and database in which it was submitted: a copy does not ask again';
COMMENT ON COLUMN rag.submitted_answer.answer IS 'the answer, or NULL';
COMMENT ON COLUMN rag.submitted_answer.citations IS 'its citations, or NULL';
COMMENT ON COLUMN rag.submitted_answer.status IS 'what kind of answer it is, or NULL';
COMMENT ON COLUMN rag.submitted_answer.claims IS 'its claims with their quotes, or NULL';
COMMENT ON COLUMN rag.submitted_answer.usage IS 'what it took, or NULL';
COMMENT ON COLUMN rag.submitted_answer.sqlstate IS 'of what went wrong, or NULL';
COMMENT ON COLUMN rag.submitted_answer.message IS 'what went wrong, or NULL';
COMMENT ON COLUMN rag.submitted_answer.detail IS 'the DETAIL of that, or NULL';
COMMENT ON COLUMN rag.submitted_answer.hint IS 'the HINT of that, or NULL';

-- security_barrier: no function of a user's sees a row before the condition has let it through.
CREATE VIEW rag.answer_request WITH (security_barrier) AS
SELECT CASE WHEN o.is_own THEN a.request_id END AS request_id,
       a.role,
       c.name AS collection,
       a.model,
       CASE WHEN o.is_own THEN a.question END AS question,
       a.state,
       a.submitted_at,
       a.started_at,
       a.finished_at,
       a.attempts,
       CASE WHEN a.state = 'running' THEN a.worker END AS worker,
       a.sqlstate,
       CASE WHEN o.is_own THEN a.message END AS message
  FROM rag.submitted_answer a
  LEFT JOIN rag.any_collection c ON c.collection_id = a.collection_id
 CROSS JOIN LATERAL (SELECT pg_catalog.pg_has_role(a.role::oid, 'USAGE') AS is_own) AS o
 WHERE o.is_own OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW rag.answer_request IS 'answers that the caller''s roles submitted; members of pg_monitor see all, without what was asked';
COMMENT ON COLUMN rag.answer_request.request_id IS 'number of the request, by which it is fetched; for the role''s members only';
COMMENT ON COLUMN rag.answer_request.role IS 'who submitted it';
COMMENT ON COLUMN rag.answer_request.collection IS 'the collection it is about; NULL for bare passages, and where the collection is gone';
COMMENT ON COLUMN rag.answer_request.model IS 'the generator that is asked';
COMMENT ON COLUMN rag.answer_request.question IS 'what was asked; for the role''s members only';
COMMENT ON COLUMN rag.answer_request.submitted_at IS 'when it was submitted';
COMMENT ON COLUMN rag.answer_request.started_at IS 'when a worker first took it up, or NULL';
COMMENT ON COLUMN rag.answer_request.finished_at IS 'when it ended, or NULL';
COMMENT ON COLUMN rag.answer_request.message IS 'what went wrong; for the role''s members only';
COMMENT ON COLUMN rag.answer_request.state IS 'queued, running, done, failed or canceled';
COMMENT ON COLUMN rag.answer_request.attempts IS 'how often the provider put it off';
COMMENT ON COLUMN rag.answer_request.worker IS 'process id of who is at it';
COMMENT ON COLUMN rag.answer_request.sqlstate IS 'of what went wrong';
GRANT SELECT ON rag.answer_request TO PUBLIC;
