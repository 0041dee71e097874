-- Log of searches and answers, and what people thought of what was found. Run by CREATE EXTENSION. Nobody
-- but the extension's owner may touch the tables: functions write finished values, views show them.
CREATE SEQUENCE rag.query_id;
CREATE TABLE rag.logged_query (
    query_id      bigint PRIMARY KEY DEFAULT pg_catalog.nextval('rag.query_id'),
    logged_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    -- No foreign key: every search would lock the collection's row.
    collection_id int NOT NULL,
    generation_id int NOT NULL,
    role          name NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('search', 'answer')),
    query         text NOT NULL,
    options       jsonb NOT NULL,
    model         text NOT NULL,
    fingerprint   text NOT NULL,
    found         int NOT NULL,
    candidates    jsonb NOT NULL,
    answer        text,
    status        text,
    confidence    float8,
    milliseconds  jsonb NOT NULL
);
CREATE INDEX ON rag.logged_query (logged_at);
COMMENT ON TABLE rag.logged_query IS 'searches and answers as logged; the view rag.query_log shows them';
COMMENT ON COLUMN rag.logged_query.query_id IS 'number of the query';
COMMENT ON COLUMN rag.logged_query.logged_at IS 'when it was logged';
COMMENT ON COLUMN rag.logged_query.collection_id IS 'the collection that was asked';
COMMENT ON COLUMN rag.logged_query.generation_id IS 'the generation that was searched';
COMMENT ON COLUMN rag.logged_query.role IS 'who asked';
COMMENT ON COLUMN rag.logged_query.kind IS 'search or answer';
COMMENT ON COLUMN rag.logged_query.query IS 'what was asked';
COMMENT ON COLUMN rag.logged_query.options IS 'what differs from the defaults, the filter among it';
COMMENT ON COLUMN rag.logged_query.model IS 'name of the embedder';
COMMENT ON COLUMN rag.logged_query.fingerprint IS 'hash over everything that changes the model''s vectors';
COMMENT ON COLUMN rag.logged_query.found IS 'chunks returned, or answered from';
COMMENT ON COLUMN rag.logged_query.candidates IS 'every candidate that was ranked, best first, with ranks and scores';
COMMENT ON COLUMN rag.logged_query.answer IS 'what rag_answer returned, or NULL';
COMMENT ON COLUMN rag.logged_query.status IS 'what kind of answer it was, or NULL';
COMMENT ON COLUMN rag.logged_query.confidence IS 'how sure the answer is, or NULL';
COMMENT ON COLUMN rag.logged_query.milliseconds IS 'time of each step';
COMMENT ON SEQUENCE rag.query_id IS 'numbers of logged queries';

CREATE TABLE rag.logged_feedback (
    query_id     bigint NOT NULL REFERENCES rag.logged_query ON DELETE CASCADE,
    chunk_id     bigint NOT NULL,
    role         name NOT NULL,
    document_key jsonb NOT NULL,
    relevant     boolean NOT NULL,
    given_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (query_id, chunk_id, role)
);
COMMENT ON TABLE rag.logged_feedback IS 'what people thought of chunks found for logged queries; the view rag.feedback shows it';
COMMENT ON COLUMN rag.logged_feedback.query_id IS 'the query';
COMMENT ON COLUMN rag.logged_feedback.chunk_id IS 'the chunk that was judged';
COMMENT ON COLUMN rag.logged_feedback.role IS 'who judged';
COMMENT ON COLUMN rag.logged_feedback.document_key IS 'values of the source''s primary key';
COMMENT ON COLUMN rag.logged_feedback.relevant IS 'whether the chunk helped';
COMMENT ON COLUMN rag.logged_feedback.given_at IS 'when it was judged';

-- security_barrier: no function of a user's sees a row before the condition has let it through.
CREATE VIEW rag.query_log WITH (security_barrier) AS
SELECT q.query_id,
       q.logged_at,
       c.name AS collection,
       q.generation_id,
       q.role,
       q.kind,
       q.query,
       q.options,
       q.model,
       q.fingerprint,
       q.found,
       CASE WHEN o.is_owner THEN q.candidates END AS candidates,
       CASE WHEN o.is_owner THEN q.answer END AS answer,
       q.status,
       q.confidence,
       q.milliseconds
  FROM rag.logged_query q
  JOIN rag.any_collection c ON c.collection_id = q.collection_id
  JOIN pg_catalog.pg_class r ON r.oid = c.source
 CROSS JOIN LATERAL (SELECT pg_catalog.pg_has_role(r.relowner, 'USAGE') AS is_owner) AS o
 WHERE o.is_owner OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW rag.query_log IS 'logged searches and answers of the collections that the caller owns; members of pg_monitor see all, without what came from documents';
COMMENT ON COLUMN rag.query_log.query_id IS 'number of the query, by which rag_feedback refers to it';
COMMENT ON COLUMN rag.query_log.logged_at IS 'when it was logged';
COMMENT ON COLUMN rag.query_log.collection IS 'the collection that was asked';
COMMENT ON COLUMN rag.query_log.generation_id IS 'the generation that was searched';
COMMENT ON COLUMN rag.query_log.kind IS 'search or answer';
COMMENT ON COLUMN rag.query_log.query IS 'what was asked';
COMMENT ON COLUMN rag.query_log.model IS 'name of the embedder';
COMMENT ON COLUMN rag.query_log.fingerprint IS 'hash over everything that changes the model''s vectors';
COMMENT ON COLUMN rag.query_log.status IS 'what kind of answer it was, or NULL';
COMMENT ON COLUMN rag.query_log.confidence IS 'how sure the answer is, or NULL';
COMMENT ON COLUMN rag.query_log.role IS 'who asked';
COMMENT ON COLUMN rag.query_log.options IS 'what differs from the defaults, the filter among it';
COMMENT ON COLUMN rag.query_log.found IS 'chunks returned, or answered from';
COMMENT ON COLUMN rag.query_log.candidates IS 'every candidate that was ranked, best first, with ranks and scores; for owners only';
COMMENT ON COLUMN rag.query_log.answer IS 'what rag_answer returned; for owners only';
COMMENT ON COLUMN rag.query_log.milliseconds IS 'time of each step';
GRANT SELECT ON rag.query_log TO PUBLIC;

CREATE VIEW rag.feedback WITH (security_barrier) AS
SELECT f.query_id,
       c.name AS collection,
       q.query,
       f.chunk_id,
       f.document_key,
       f.relevant,
       f.role,
       f.given_at
  FROM rag.logged_feedback f
  JOIN rag.logged_query q ON q.query_id = f.query_id
  JOIN rag.any_collection c ON c.collection_id = q.collection_id
  JOIN pg_catalog.pg_class r ON r.oid = c.source
 WHERE pg_catalog.pg_has_role(r.relowner, 'USAGE');
COMMENT ON VIEW rag.feedback IS 'what people thought of chunks found for logged queries, of the collections that the caller owns';
COMMENT ON COLUMN rag.feedback.query_id IS 'number of the query in rag.query_log';
COMMENT ON COLUMN rag.feedback.collection IS 'the collection that was asked';
COMMENT ON COLUMN rag.feedback.query IS 'what was asked';
COMMENT ON COLUMN rag.feedback.chunk_id IS 'the chunk that was judged';
COMMENT ON COLUMN rag.feedback.document_key IS 'values of the source''s primary key';
COMMENT ON COLUMN rag.feedback.relevant IS 'whether the chunk helped';
COMMENT ON COLUMN rag.feedback.given_at IS 'when it was judged';
COMMENT ON COLUMN rag.feedback.role IS 'who said so';
GRANT SELECT ON rag.feedback TO PUBLIC;

-- The log is not dumped: a database's owner could then not dump the database, since pg_dump gives up at the first
-- table it may not read, and others' questions are not for everyone.
