-- Remote models, and the keys they are called with. Run by CREATE EXTENSION; owned by the extension's owner.
-- No key is ever stored. Models and grants are for all to read and dumped, as foreign servers are; a row that
-- only administrators could read would keep a database's owner from dumping it. Where keys lie is a matter of the
-- server: credentials are neither. No foreign keys: parallel restores load tables in any order.
CREATE TABLE rag.credential (
    name       text COLLATE "C" PRIMARY KEY,
    url_prefix text NOT NULL,
    file       text,
    env        text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CHECK ((file IS NULL) <> (env IS NULL))
);
COMMENT ON TABLE rag.credential IS 'where keys are read from when a remote model is called, and where they may be sent; never the keys';
COMMENT ON COLUMN rag.credential.name IS 'name by which models refer to it';
COMMENT ON COLUMN rag.credential.created_at IS 'when it was created';
COMMENT ON COLUMN rag.credential.url_prefix IS 'the key is sent to this URL and those below';
COMMENT ON COLUMN rag.credential.file IS 'file of the server''s operating system user, mode 0600 or 0400';
COMMENT ON COLUMN rag.credential.env IS 'variable of the server''s environment';

CREATE TABLE rag.remote_model (
    name                text COLLATE "C" PRIMARY KEY,
    kind                text NOT NULL CHECK (kind IN ('embedder', 'reranker', 'generator')),
    provider            text NOT NULL,
    url                 text NOT NULL,
    model               text NOT NULL,
    credential          text COLLATE "C",
    dimensions          int,
    max_tokens          int NOT NULL,
    max_output_tokens   int NOT NULL,
    query_prefix        text NOT NULL,
    document_prefix     text NOT NULL,
    max_items           int NOT NULL,
    max_request_tokens  int NOT NULL,
    concurrency         int NOT NULL,
    requests_per_minute int,
    tokens_per_minute   int,
    temperature         float8,
    timeout             interval NOT NULL,
    retries             int NOT NULL,
    parameters          jsonb NOT NULL,
    fingerprint         text NOT NULL,
    input_price         float8,
    output_price        float8,
    request_price       float8,
    query_parameters    jsonb NOT NULL DEFAULT '{}',
    document_parameters jsonb NOT NULL DEFAULT '{}',
    created_at          timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE rag.remote_model IS 'models that other servers run';
COMMENT ON COLUMN rag.remote_model.name IS 'its name here';
COMMENT ON COLUMN rag.remote_model.kind IS 'embedder, reranker or generator';
COMMENT ON COLUMN rag.remote_model.provider IS 'whose format the server that runs it speaks';
COMMENT ON COLUMN rag.remote_model.url IS 'where it is called';
COMMENT ON COLUMN rag.remote_model.credential IS 'the credential it is called with, or NULL';
COMMENT ON COLUMN rag.remote_model.dimensions IS 'length of its vectors; NULL of a model that makes none';
COMMENT ON COLUMN rag.remote_model.max_tokens IS 'most tokens of a text that it reads';
COMMENT ON COLUMN rag.remote_model.max_output_tokens IS 'most tokens that it writes';
COMMENT ON COLUMN rag.remote_model.query_prefix IS 'put before a text that asks';
COMMENT ON COLUMN rag.remote_model.document_prefix IS 'put before a text that is searched';
COMMENT ON COLUMN rag.remote_model.max_items IS 'most texts of a request';
COMMENT ON COLUMN rag.remote_model.max_request_tokens IS 'most tokens of a request';
COMMENT ON COLUMN rag.remote_model.concurrency IS 'most requests of a process at a time';
COMMENT ON COLUMN rag.remote_model.requests_per_minute IS 'most requests a minute, or NULL';
COMMENT ON COLUMN rag.remote_model.tokens_per_minute IS 'most tokens a minute, or NULL';
COMMENT ON COLUMN rag.remote_model.temperature IS 'how freely it writes, or NULL for its own default';
COMMENT ON COLUMN rag.remote_model.timeout IS 'how long a request may take';
COMMENT ON COLUMN rag.remote_model.retries IS 'how often a request is sent again';
COMMENT ON COLUMN rag.remote_model.created_at IS 'when it was created';
COMMENT ON COLUMN rag.remote_model.model IS 'the name its provider knows it by';
COMMENT ON COLUMN rag.remote_model.parameters IS 'put into the body of every request; null takes out what would be there';
COMMENT ON COLUMN rag.remote_model.query_parameters IS 'the same, where texts that ask are embedded';
COMMENT ON COLUMN rag.remote_model.document_parameters IS 'the same, where texts that are searched are embedded';
COMMENT ON COLUMN rag.remote_model.input_price IS 'of a million tokens read; with the others, what rag.call_log reckons by';
COMMENT ON COLUMN rag.remote_model.output_price IS 'of a million tokens written';
COMMENT ON COLUMN rag.remote_model.request_price IS 'of a request';
COMMENT ON COLUMN rag.remote_model.fingerprint IS 'sha256 over what its vectors depend on';

CREATE TABLE rag.model_use (
    model text COLLATE "C",
    role  regrole,
    PRIMARY KEY (model, role)
);
COMMENT ON TABLE rag.model_use IS 'who may call which remote model';
COMMENT ON COLUMN rag.model_use.model IS 'the remote model';
COMMENT ON COLUMN rag.model_use.role IS 'a role and its members; - for everyone';

-- Written by workers; not dumped: it is learnt again.
CREATE TABLE rag.model_learnt (
    model              text COLLATE "C" PRIMARY KEY,
    max_items          int,
    max_request_tokens int,
    is_serial          bool NOT NULL,
    adapted            text[] NOT NULL,
    learnt_at          timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE rag.model_learnt IS 'what requests to a remote model turned out to need';
COMMENT ON COLUMN rag.model_learnt.model IS 'the remote model';
COMMENT ON COLUMN rag.model_learnt.learnt_at IS 'when that was learnt';
COMMENT ON COLUMN rag.model_learnt.max_items IS 'most texts of a request that worked where a larger one did not';
COMMENT ON COLUMN rag.model_learnt.max_request_tokens IS 'the same, of its tokens';
COMMENT ON COLUMN rag.model_learnt.is_serial IS 'requests are sent one after the other';
COMMENT ON COLUMN rag.model_learnt.adapted IS 'parameters that it does not take';

GRANT SELECT ON rag.remote_model, rag.model_use, rag.model_learnt TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('rag.remote_model', '');
SELECT pg_catalog.pg_extension_config_dump('rag.model_use', '');
