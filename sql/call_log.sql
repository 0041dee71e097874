-- Ledger of calls of remote models. Run by CREATE EXTENSION. Nobody but the extension's owner may touch the tables: the
-- library writes finished values, views show them. Neither table is dumped: what was paid on one server was not paid on
-- another, and pg_dump gives up at the first table it may not read.
CREATE TABLE rag.logged_call (
    call_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    called_at     timestamptz NOT NULL,
    role          regrole NOT NULL,
    -- No foreign key: a call is not undone with its collection.
    collection_id int,
    model         text NOT NULL,
    purpose       text NOT NULL CHECK (purpose IN ('query', 'document', 'rerank', 'answer')),
    items         int NOT NULL,
    input_tokens  bigint NOT NULL,
    output_tokens bigint NOT NULL,
    is_estimate   boolean NOT NULL,
    milliseconds  bigint NOT NULL,
    attempts      int NOT NULL,
    status        int,
    succeeded     boolean NOT NULL,
    request_id    text,
    cost          float8
);
CREATE INDEX ON rag.logged_call (called_at);
COMMENT ON SEQUENCE rag.logged_call_call_id_seq IS 'numbers of calls';
COMMENT ON TABLE rag.logged_call IS 'calls of remote models as logged; the view rag.call_log shows them';
COMMENT ON COLUMN rag.logged_call.call_id IS 'number of the call, in the order of their ends';
COMMENT ON COLUMN rag.logged_call.called_at IS 'when it began';
COMMENT ON COLUMN rag.logged_call.role IS 'who called; for a worker, the collection''s owner';
COMMENT ON COLUMN rag.logged_call.collection_id IS 'the collection it was for, or NULL';
COMMENT ON COLUMN rag.logged_call.model IS 'the remote model';
COMMENT ON COLUMN rag.logged_call.purpose IS 'query and document: texts embedded; rerank; answer';
COMMENT ON COLUMN rag.logged_call.items IS 'texts or documents in it';
COMMENT ON COLUMN rag.logged_call.input_tokens IS 'tokens read';
COMMENT ON COLUMN rag.logged_call.output_tokens IS 'tokens written';
COMMENT ON COLUMN rag.logged_call.is_estimate IS 'the provider did not count the tokens';
COMMENT ON COLUMN rag.logged_call.milliseconds IS 'from the first request to the end, pauses included';
COMMENT ON COLUMN rag.logged_call.attempts IS 'requests sent, the one that succeeded included';
COMMENT ON COLUMN rag.logged_call.status IS 'status of the last response; NULL when none came';
COMMENT ON COLUMN rag.logged_call.succeeded IS 'whether the response was usable';
COMMENT ON COLUMN rag.logged_call.request_id IS 'what the provider calls the last request';
COMMENT ON COLUMN rag.logged_call.cost IS 'by the prices of the model; NULL where it has none or the provider refused';

CREATE TABLE rag.call_total (
    collection_id int PRIMARY KEY,
    calls         bigint NOT NULL,
    tokens        bigint NOT NULL,
    cost          float8
);
COMMENT ON TABLE rag.call_total IS 'sums of a collection''s calls since it was created, so that rag.status is cheap at any age';
COMMENT ON COLUMN rag.call_total.collection_id IS 'the collection';
COMMENT ON COLUMN rag.call_total.calls IS 'calls of remote models for it';
COMMENT ON COLUMN rag.call_total.tokens IS 'tokens of these, read and written';
COMMENT ON COLUMN rag.call_total.cost IS 'their cost by the models'' prices, or NULL';

-- security_barrier: no function of a user's sees a row before the condition has let it through.
CREATE VIEW rag.call_log WITH (security_barrier) AS
SELECT l.call_id,
       l.called_at,
       l.role,
       c.name AS collection,
       l.model,
       l.purpose,
       l.items,
       l.input_tokens,
       l.output_tokens,
       l.is_estimate,
       l.milliseconds,
       l.attempts,
       l.status,
       l.succeeded,
       l.request_id,
       l.cost
  FROM rag.logged_call l
  LEFT JOIN rag.any_collection c ON c.collection_id = l.collection_id
  LEFT JOIN pg_catalog.pg_class r ON r.oid = c.source
 WHERE pg_catalog.pg_has_role(l.role::oid, 'USAGE')
    OR pg_catalog.pg_has_role(r.relowner, 'USAGE')
    OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW rag.call_log IS 'calls of remote models by the caller''s roles and for the collections that the caller owns; members of pg_monitor see all';
COMMENT ON COLUMN rag.call_log.call_id IS 'number of the call, in the order of their ends';
COMMENT ON COLUMN rag.call_log.called_at IS 'when it began';
COMMENT ON COLUMN rag.call_log.model IS 'the remote model';
COMMENT ON COLUMN rag.call_log.input_tokens IS 'tokens read';
COMMENT ON COLUMN rag.call_log.output_tokens IS 'tokens written';
COMMENT ON COLUMN rag.call_log.role IS 'who called; for a worker, the collection''s owner';
COMMENT ON COLUMN rag.call_log.collection IS 'the collection it was for, or NULL';
COMMENT ON COLUMN rag.call_log.purpose IS 'query and document: texts embedded; rerank; answer';
COMMENT ON COLUMN rag.call_log.items IS 'texts or documents in it';
COMMENT ON COLUMN rag.call_log.is_estimate IS 'the provider did not count the tokens';
COMMENT ON COLUMN rag.call_log.milliseconds IS 'from the first request to the end, pauses included';
COMMENT ON COLUMN rag.call_log.attempts IS 'requests sent, the one that succeeded included';
COMMENT ON COLUMN rag.call_log.status IS 'status of the last response; NULL when none came';
COMMENT ON COLUMN rag.call_log.succeeded IS 'whether the response was usable';
COMMENT ON COLUMN rag.call_log.request_id IS 'what the provider calls the last request';
COMMENT ON COLUMN rag.call_log.cost IS 'by the prices of the model; NULL where it has none or the provider refused';
GRANT SELECT ON rag.call_log TO PUBLIC;
