-- Run by ALTER EXTENSION rag_pg UPDATE, from 0.1.0 to 0.2.0. Written by scripts/upgrade.sh; what is written by hand is in sql/upgrades/.
SET LOCAL search_path = pg_catalog, pg_temp;
ALTER TABLE rag.collection ADD COLUMN detached_at timestamptz;
DROP EVENT TRIGGER rag_pg_before_drop;
DROP FUNCTION @extschema@.rag_chunk(text, integer, integer, text, text);
DROP FUNCTION @extschema@.rag_create_model(text, text, text, text, text, integer, text, integer, integer, text, text, integer, integer, integer, integer, integer, float8, interval, integer, jsonb, float8, float8, float8, jsonb, jsonb);
DROP FUNCTION @extschema@.rag_extract(bytea, text, text, text, text, integer, boolean);
DROP FUNCTION @extschema@.rag_extract_text(bytea, text, text, text, text, integer, boolean);
DROP FUNCTION @extschema@.rag_rerank(text, text[], integer, text);
DROP FUNCTION @extschema@.rag_search(text, text, integer, jsonb, boolean, integer, integer, float8, float8, float8, integer, float8, integer, text, float8, jsonb);
DROP FUNCTION @extschema@.rag_evaluate_answers(text, regclass, text, name, name, integer, jsonb);
DROP FUNCTION @extschema@.rag_evaluate(text, regclass, name, name, integer, jsonb, integer, integer, float8, float8, float8);
DROP FUNCTION @extschema@.rag_explain(text, text, integer, jsonb, boolean, integer, integer, float8, float8, float8, integer, float8, integer, text, float8, jsonb);
DROP FUNCTION @extschema@.rag_maintain(text, boolean, integer);
DROP FUNCTION @extschema@.rag_explain_text(text, text, integer, jsonb, boolean, integer, integer, float8, float8, float8, integer, float8, integer, text, float8, jsonb);
DROP FUNCTION @extschema@.rag_answer(text, text, integer, jsonb, text, text, integer, float8, integer, jsonb, text, bool, text);
DROP FUNCTION @extschema@.rag_answer_stream(text, text, integer, jsonb, text, text, integer, float8, integer, jsonb, text, bool);
DROP FUNCTION @extschema@.rag_pause(text, integer);
DROP FUNCTION @extschema@.rag_answer_submit(text, text, integer, jsonb, text, text, integer, float8, integer, jsonb, text, bool);
DROP FUNCTION @extschema@.rag_resume(text, integer);
DROP FUNCTION @extschema@.rag_create_collection(text, regclass, name, name, text, integer, integer, text, regconfig, boolean, text, boolean, text, name, name, boolean, boolean, boolean);
DROP FUNCTION @extschema@.rag_alter_collection(text, boolean);
DROP FUNCTION @extschema@.rag_recall(text, integer, integer, integer);
DROP FUNCTION @extschema@.rag_switch(text, integer, boolean);
DROP FUNCTION @extschema@.rag_rebuild(text, text, integer, integer, text, boolean, text, boolean, text);
DROP FUNCTION @extschema@.rag_estimate(text, text, integer, integer, text, boolean, text, text);
DROP FUNCTION @extschema@.rag_prune(text, integer);
COMMENT ON COLUMN rag.credential.name IS 'name by which models refer to it';
COMMENT ON COLUMN rag.credential.created_at IS 'when it was created';
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
COMMENT ON COLUMN rag.model_use.model IS 'the remote model';
COMMENT ON COLUMN rag.model_learnt.model IS 'the remote model';
COMMENT ON COLUMN rag.model_learnt.learnt_at IS 'when that was learnt';
CREATE FUNCTION rag.pgvector_warning() RETURNS text
    STABLE PARALLEL SAFE COST 1000 RETURN (SELECT pg_catalog.format('pgvector %s can damage vector indexes', x.default_version) FROM pg_catalog.pg_available_extensions() x WHERE x.name = 'vector' AND (pg_catalog.regexp_match(x.default_version, '^([0-9]+)[.]([0-9]+)[.]([0-9]+)'))::int[] < ARRAY[0, 8, 4]);
COMMENT ON FUNCTION rag.pgvector_warning() IS 'what is wrong with the installed pgvector: before 0.8.2 parallel builds of an HNSW index write beyond their memory, before 0.8.4 INSERT beside VACUUM can damage one; NULL where nothing is';
DO $$
BEGIN
    IF rag.pgvector_warning() IS NOT NULL THEN
        RAISE WARNING USING
            MESSAGE = rag.pgvector_warning(),
            HINT = 'Install pgvector 0.8.4 or newer, and run ALTER EXTENSION vector UPDATE. Until then indexes are built without parallel workers.';
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.rag_answer(text, text[], text, text, jsonb, text, bool, text) IS 'an answer to a question from passages, with quotes and their places';
CREATE FUNCTION @extschema@.rag_chunk(
    content text,
    max_tokens bigint = NULL,
    overlap_tokens bigint = NULL,
    format text = 'auto',
    model text = NULL
) RETURNS TABLE (
    ordinal int,
    content text,
    token_count int,
    char_start int,
    char_end int,
    metadata jsonb
) STABLE PARALLEL RESTRICTED COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_chunk_wrapper';
COMMENT ON FUNCTION @extschema@.rag_chunk IS 'chunks of a text, each with its place in it';
CREATE FUNCTION @extschema@.rag_create_model(
    name text,
    kind text,
    provider text,
    url text = NULL,
    credential text = NULL,
    dimensions bigint = NULL,
    model text = NULL,
    max_tokens bigint = NULL,
    max_output_tokens bigint = NULL,
    query_prefix text = NULL,
    document_prefix text = NULL,
    max_items bigint = NULL,
    max_request_tokens bigint = NULL,
    concurrency bigint = NULL,
    requests_per_minute bigint = NULL,
    tokens_per_minute bigint = NULL,
    temperature float8 = NULL,
    timeout interval = NULL,
    retries bigint = NULL,
    parameters jsonb = NULL,
    input_price float8 = NULL,
    output_price float8 = NULL,
    request_price float8 = NULL,
    query_parameters jsonb = NULL,
    document_parameters jsonb = NULL
) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'rag_create_model_wrapper';
COMMENT ON FUNCTION @extschema@.rag_create_model IS 'makes a model that another server runs known by a name; calls nobody';
REVOKE ALL ON FUNCTION @extschema@.rag_create_model FROM PUBLIC;
CREATE FUNCTION @extschema@.rag_extract(
    file bytea,
    format text = 'auto',
    file_name text = NULL,
    media_type text = NULL,
    password text = NULL,
    max_pages bigint = NULL,
    ocr boolean = false
) RETURNS TABLE (page int, content text, metadata jsonb)
    STABLE PARALLEL RESTRICTED COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_extract_wrapper';
COMMENT ON FUNCTION @extschema@.rag_extract IS 'text of a file, page by page, extracted by a confined program';
CREATE FUNCTION @extschema@.rag_extract_text(
    file bytea,
    format text = 'auto',
    file_name text = NULL,
    media_type text = NULL,
    password text = NULL,
    max_pages bigint = NULL,
    ocr boolean = false
) RETURNS text
    STABLE PARALLEL RESTRICTED COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_extract_text_wrapper';
COMMENT ON FUNCTION @extschema@.rag_extract_text IS 'text of a file, as a collection divides it into chunks';
COMMENT ON COLUMN rag.model.name IS 'its name';
COMMENT ON COLUMN rag.model.kind IS 'embedder, reranker or generator';
COMMENT ON COLUMN rag.model.dimensions IS 'length of its vectors, or NULL';
COMMENT ON COLUMN rag.model.precision IS 'int8 or fp32; NULL of a remote model';
CREATE FUNCTION @extschema@.rag_rerank(query text, documents text[], top_k bigint = NULL, model text = NULL)
    RETURNS TABLE (ordinal int, document text, score float8)
    STABLE PARALLEL RESTRICTED COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_rerank_wrapper';
COMMENT ON FUNCTION @extschema@.rag_rerank IS 'documents in the order in which they answer a query, with scores';
COMMENT ON COLUMN rag.collection.collection_id IS 'number of the collection';
COMMENT ON COLUMN rag.collection.name IS 'its name';
COMMENT ON COLUMN rag.collection.source IS 'the table that is searched';
COMMENT ON COLUMN rag.collection.content_column IS 'column with the documents';
COMMENT ON COLUMN rag.collection.key_columns IS 'columns of the source''s primary key, in its order';
COMMENT ON COLUMN rag.collection.column_numbers IS 'numbers of content, title, file name, media type (0: none) and keys, by which a renamed column is known again';
COMMENT ON COLUMN rag.collection.view IS 'the view over the active generation, or NULL where it was dropped';
COMMENT ON COLUMN rag.collection.text_search_config IS 'text search configuration, qualified and quoted';
COMMENT ON COLUMN rag.collection.created_at IS 'when it was created';
COMMENT ON COLUMN rag.collection.detached_at IS 'when rag_detach_collection() took it off its source, or NULL';
COMMENT ON COLUMN rag.source_partition.collection_id IS 'the collection';
COMMENT ON COLUMN rag.source_partition.partition IS 'the partition';
CREATE TABLE rag.distributed_collection (
    collection_id      int PRIMARY KEY DEFAULT pg_catalog.nextval('rag.collection_id'),
    name               text COLLATE "C" NOT NULL UNIQUE,
    source             regclass NOT NULL,
    content_column     name NOT NULL,
    model              text NOT NULL,
    fingerprint        text NOT NULL,
    dimensions         int NOT NULL,
    token_bits         boolean NOT NULL,
    max_tokens         int NOT NULL,
    overlap_tokens     int NOT NULL,
    format             text NOT NULL,
    text_search_config text NOT NULL,
    analysis           int NOT NULL,
    key_columns        name[] NOT NULL,
    title_column       name,
    content_kind       text NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE rag.distributed_collection IS 'one row per distributed collection: a partitioned table whose partitions are kept searchable on other servers';
COMMENT ON COLUMN rag.distributed_collection.collection_id IS 'number of the collection';
COMMENT ON COLUMN rag.distributed_collection.name IS 'its name';
COMMENT ON COLUMN rag.distributed_collection.source IS 'the partitioned table';
COMMENT ON COLUMN rag.distributed_collection.content_column IS 'column with the documents';
COMMENT ON COLUMN rag.distributed_collection.model IS 'name of the embedder';
COMMENT ON COLUMN rag.distributed_collection.fingerprint IS 'the vector space that searches run in: hash over everything that changes the model''s vectors';
COMMENT ON COLUMN rag.distributed_collection.dimensions IS 'length of the vectors';
COMMENT ON COLUMN rag.distributed_collection.token_bits IS 'whether token bits are kept for reranking';
COMMENT ON COLUMN rag.distributed_collection.max_tokens IS 'most tokens of a chunk';
COMMENT ON COLUMN rag.distributed_collection.overlap_tokens IS 'most tokens that two neighbouring chunks share';
COMMENT ON COLUMN rag.distributed_collection.format IS 'format of the documents';
COMMENT ON COLUMN rag.distributed_collection.text_search_config IS 'text search configuration, qualified and quoted';
COMMENT ON COLUMN rag.distributed_collection.analysis IS 'version of the analysis by which texts became words';
COMMENT ON COLUMN rag.distributed_collection.key_columns IS 'columns of the primary key on each server, in its order';
COMMENT ON COLUMN rag.distributed_collection.title_column IS 'column whose text heads every heading path, or NULL';
COMMENT ON COLUMN rag.distributed_collection.content_kind IS 'what the content column holds';
COMMENT ON COLUMN rag.distributed_collection.created_at IS 'when it was created';
CREATE VIEW rag.any_collection WITH (security_barrier, security_invoker) AS
SELECT c.collection_id, c.name, c.source FROM rag.collection c
 UNION ALL
SELECT d.collection_id, d.name, d.source FROM rag.distributed_collection d;
COMMENT ON VIEW rag.any_collection IS 'collections, distributed or not';
COMMENT ON COLUMN rag.any_collection.collection_id IS 'number of the collection';
COMMENT ON COLUMN rag.any_collection.name IS 'its name';
COMMENT ON COLUMN rag.any_collection.source IS 'the table that it is of';
GRANT SELECT ON rag.any_collection TO PUBLIC;
COMMENT ON COLUMN rag.generation.generation_id IS 'number of the generation';
COMMENT ON COLUMN rag.generation.collection_id IS 'its collection';
COMMENT ON COLUMN rag.generation.model IS 'name of the embedder';
COMMENT ON COLUMN rag.generation.fingerprint IS 'hash over everything that changes the model''s vectors';
COMMENT ON COLUMN rag.generation.dimensions IS 'length of the vectors';
COMMENT ON COLUMN rag.generation.overlap_tokens IS 'most tokens that two neighbouring chunks share';
COMMENT ON COLUMN rag.generation.format IS 'format of the documents: auto, plain, markdown, html, or one of files';
COMMENT ON COLUMN rag.generation.token_bits IS 'whether token bits are kept for reranking';
COMMENT ON COLUMN rag.generation.documents IS 'table with a row for each document';
COMMENT ON COLUMN rag.generation.chunks IS 'table of chunks';
COMMENT ON COLUMN rag.generation.created_at IS 'when it was made';
COMMENT ON SEQUENCE rag.collection_id IS 'numbers of collections';
COMMENT ON SEQUENCE rag.generation_id IS 'numbers of generations';
COMMENT ON SEQUENCE rag.change_change_id_seq IS 'numbers of changes';
COMMENT ON COLUMN rag.change.change_id IS 'the order in which they were written';
COMMENT ON COLUMN rag.change.collection_id IS 'the collection';
COMMENT ON COLUMN rag.change.changed_at IS 'when the transaction that wrote it began';
COMMENT ON COLUMN rag.job.generation_id IS 'the generation that is to be brought up to date';
COMMENT ON COLUMN rag.job.key IS 'the document: a JSON array of the key columns as text';
COMMENT ON COLUMN rag.job.token IS 'voids work on a former state of the document: it is a new one with each change and claim';
COMMENT ON COLUMN rag.job.is_dead IS 'it was given up';
COMMENT ON COLUMN rag.job.attempts IS 'how often it failed, pauses that a provider asked for not counted';
COMMENT ON COLUMN rag.job.queued_at IS 'when its change was noticed';
COMMENT ON COLUMN rag.job.ready_at IS 'not before: now for a waiting job, the end of the lease for a claimed one, later after a failure';
COMMENT ON COLUMN rag.job.begun_at IS 'when its worker began with it, or NULL';
COMMENT ON COLUMN rag.job.page IS 'of a file that takes long: pages extracted so far';
COMMENT ON COLUMN rag.job.pages IS 'how many pages it has, where that is known';
COMMENT ON COLUMN rag.job.failure IS 'what kind of failure the last one was, or NULL';
COMMENT ON COLUMN rag.job.reason IS 'what the error said';
COMMENT ON COLUMN rag.job.excerpt IS 'the document''s first characters';
COMMENT ON SEQUENCE rag.job_count_count_id_seq IS 'keys of counters';
COMMENT ON COLUMN rag.job_count.generation_id IS 'the generation';
COMMENT ON COLUMN rag.job_count.dead IS 'jobs that were given up';
CREATE TABLE rag.imported_embedding (
    generation_id int,
    hash          bytea,
    embedding     bytea NOT NULL,
    PRIMARY KEY (generation_id, hash)
);
ALTER TABLE rag.imported_embedding ALTER COLUMN embedding SET STORAGE EXTERNAL;
COMMENT ON TABLE rag.imported_embedding IS 'vectors that people had already, for a first load to take instead of asking the model';
COMMENT ON COLUMN rag.imported_embedding.generation_id IS 'the generation that they are for';
COMMENT ON COLUMN rag.imported_embedding.hash IS 'of the text that was embedded';
COMMENT ON COLUMN rag.imported_embedding.embedding IS 'its vector, of length 1: numbers of four bytes, the least significant first';
COMMENT ON COLUMN rag.scan.generation_id IS 'the generation that is compared';
COMMENT ON COLUMN rag.scan.started_at IS 'when it began';
COMMENT ON COLUMN rag.progress.generation_id IS 'the generation';
COMMENT ON COLUMN rag.progress.indexed IS 'documents with chunks';
COMMENT ON COLUMN rag.progress.chunks IS 'chunks stored';
COMMENT ON COLUMN rag.progress.worker IS 'process id of whoever works on it, or NULL';
COMMENT ON COLUMN rag.progress.heartbeat IS 'its last sign of life';
GRANT SELECT ON rag.collection, rag.generation, rag.distributed_collection TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('rag.distributed_collection', '');
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
CREATE OR REPLACE VIEW rag.answer_request WITH (security_barrier) AS
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
COMMENT ON COLUMN rag.answer_request.request_id IS 'number of the request, by which it is fetched; for the role''s members only';
COMMENT ON COLUMN rag.answer_request.role IS 'who submitted it';
COMMENT ON COLUMN rag.answer_request.collection IS 'the collection it is about; NULL for bare passages, and where the collection is gone';
COMMENT ON COLUMN rag.answer_request.model IS 'the generator that is asked';
COMMENT ON COLUMN rag.answer_request.question IS 'what was asked; for the role''s members only';
COMMENT ON COLUMN rag.answer_request.submitted_at IS 'when it was submitted';
COMMENT ON COLUMN rag.answer_request.started_at IS 'when a worker first took it up, or NULL';
COMMENT ON COLUMN rag.answer_request.finished_at IS 'when it ended, or NULL';
COMMENT ON COLUMN rag.answer_request.message IS 'what went wrong; for the role''s members only';
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
COMMENT ON COLUMN rag.logged_feedback.query_id IS 'the query';
COMMENT ON COLUMN rag.logged_feedback.chunk_id IS 'the chunk that was judged';
COMMENT ON COLUMN rag.logged_feedback.role IS 'who judged';
COMMENT ON COLUMN rag.logged_feedback.document_key IS 'values of the source''s primary key';
COMMENT ON COLUMN rag.logged_feedback.relevant IS 'whether the chunk helped';
COMMENT ON COLUMN rag.logged_feedback.given_at IS 'when it was judged';
CREATE OR REPLACE VIEW rag.query_log WITH (security_barrier) AS
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
CREATE OR REPLACE VIEW rag.feedback WITH (security_barrier) AS
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
COMMENT ON COLUMN rag.feedback.query_id IS 'number of the query in rag.query_log';
COMMENT ON COLUMN rag.feedback.collection IS 'the collection that was asked';
COMMENT ON COLUMN rag.feedback.query IS 'what was asked';
COMMENT ON COLUMN rag.feedback.chunk_id IS 'the chunk that was judged';
COMMENT ON COLUMN rag.feedback.document_key IS 'values of the source''s primary key';
COMMENT ON COLUMN rag.feedback.relevant IS 'whether the chunk helped';
COMMENT ON COLUMN rag.feedback.given_at IS 'when it was judged';
CREATE FUNCTION @extschema@.rag_search(
    collection text,
    query text,
    top_k bigint = 5,
    filter jsonb = NULL,
    rerank boolean = true,
    depth bigint = 100,
    candidates bigint = 50,
    dense_weight float8 = NULL,
    lexical_weight float8 = 1,
    rerank_weight float8 = NULL,
    per_document bigint = NULL,
    near_duplicate float8 = NULL,
    expand bigint = 0,
    syntax text = 'words',
    min_relevance float8 = NULL,
    history jsonb = NULL,
    partial boolean = false
) RETURNS TABLE (
    chunk_id bigint,
    document_key jsonb,
    ordinal int,
    content text,
    score float8,
    metadata jsonb,
    ranks jsonb,
    relevance float8,
    query_id bigint
) STABLE PARALLEL RESTRICTED ROWS 5 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_search_wrapper';
COMMENT ON FUNCTION @extschema@.rag_search IS 'the chunks of a collection that fit a query best, best first';
CREATE FUNCTION @extschema@.rag_evaluate(
    collection text,
    questions regclass = NULL,
    question name = 'question',
    relevant name = 'relevant',
    k bigint = 10,
    filter jsonb = NULL,
    depth bigint = 100,
    candidates bigint = 50,
    dense_weight float8 = NULL,
    lexical_weight float8 = 1,
    rerank_weight float8 = NULL
) RETURNS TABLE (
    stage text,
    asked bigint,
    recall float8,
    mrr float8,
    ndcg float8,
    p50_ms float8
) STABLE PARALLEL RESTRICTED ROWS 4 COST 1000000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_evaluate_wrapper';
COMMENT ON FUNCTION @extschema@.rag_evaluate IS 'quality of each stage of searching a collection, on questions with relevant documents or on logged feedback';
CREATE FUNCTION @extschema@.rag_evaluate_answers(
    collection text,
    questions regclass,
    model text = NULL,
    question name = 'question',
    accepted name = 'accepted',
    top_k bigint = 5,
    filter jsonb = NULL
) RETURNS TABLE (
    asked bigint,
    answerable bigint,
    answered float8,
    exact float8,
    contained float8,
    f1 float8,
    supported float8,
    refused float8,
    cost float8,
    p50_ms float8
) VOLATILE PARALLEL RESTRICTED ROWS 1 COST 1000000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_evaluate_answers_wrapper';
COMMENT ON FUNCTION @extschema@.rag_evaluate_answers IS 'quality of the answers from a collection, on questions with accepted answers';
COMMENT ON SEQUENCE rag.logged_call_call_id_seq IS 'numbers of calls';
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
COMMENT ON COLUMN rag.call_total.collection_id IS 'the collection';
COMMENT ON COLUMN rag.call_total.calls IS 'calls of remote models for it';
COMMENT ON COLUMN rag.call_total.tokens IS 'tokens of these, read and written';
COMMENT ON COLUMN rag.call_total.cost IS 'their cost by the models'' prices, or NULL';
CREATE OR REPLACE VIEW rag.call_log WITH (security_barrier) AS
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
COMMENT ON COLUMN rag.call_log.call_id IS 'number of the call, in the order of their ends';
COMMENT ON COLUMN rag.call_log.called_at IS 'when it began';
COMMENT ON COLUMN rag.call_log.model IS 'the remote model';
COMMENT ON COLUMN rag.call_log.input_tokens IS 'tokens read';
COMMENT ON COLUMN rag.call_log.output_tokens IS 'tokens written';
CREATE EVENT TRIGGER rag_pg_before_command ON ddl_command_start WHEN TAG IN ('DROP TABLE', 'ALTER TABLE') EXECUTE FUNCTION @extschema@.rag_follow_ddl();
COMMENT ON EVENT TRIGGER rag_pg_follow_command IS 'follows changes of a source''s definition';
COMMENT ON EVENT TRIGGER rag_pg_follow_drop IS 'drops a collection with its source, or pauses it without a column';
COMMENT ON EVENT TRIGGER rag_pg_before_command IS 'ends index builds that DROP TABLE of a source would wait for; says what helps where a column''s type cannot be changed';
COMMENT ON COLUMN rag.query_total.collection_id IS 'the collection';
COMMENT ON COLUMN rag.query_total.kind IS 'search or answer';
CREATE FUNCTION @extschema@.rag_detach_collection(name text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'rag_detach_collection_wrapper';
COMMENT ON FUNCTION @extschema@.rag_detach_collection IS 'takes a collection off its source and keeps its chunk tables, so that types of columns can be changed or the extension be dropped';
CREATE FUNCTION @extschema@.rag_recall(
    collection text,
    queries bigint = 100,
    k bigint = 10,
    depth bigint = 100
) RETURNS TABLE (
    asked bigint,
    recall float8,
    index_p50_ms float8,
    exact_p50_ms float8,
    access text,
    logged bigint,
    server text
) STABLE PARALLEL RESTRICTED ROWS 1 COST 1000000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_recall_wrapper';
COMMENT ON FUNCTION @extschema@.rag_recall IS 'share of the nearest chunks that the vector index finds, asked logged questions or parts of sentences';
CREATE FUNCTION @extschema@.rag_alter_collection(name text, replicated boolean = NULL, chunk_schema name = NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'alter_collection_wrapper';
COMMENT ON FUNCTION @extschema@.rag_alter_collection IS 'changes options of a collection that need no rebuild: whether it heeds logical replication, and the schema of its chunk tables';
CREATE FUNCTION rag.shard(request text, vectors bytea) RETURNS text
    STABLE STRICT PARALLEL RESTRICTED COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'shard_wrapper';
COMMENT ON FUNCTION rag.shard IS 'part of searches of a distributed collection: a step of one in the part that this server holds';
CREATE FUNCTION @extschema@.rag_explain(
    collection text,
    query text,
    top_k bigint = 5,
    filter jsonb = NULL,
    rerank boolean = true,
    depth bigint = 100,
    candidates bigint = 50,
    dense_weight float8 = NULL,
    lexical_weight float8 = 1,
    rerank_weight float8 = NULL,
    per_document bigint = NULL,
    near_duplicate float8 = NULL,
    expand bigint = 0,
    syntax text = 'words',
    min_relevance float8 = NULL,
    history jsonb = NULL,
    partial boolean = false
) RETURNS TABLE (
    rank int,
    chunk_id bigint,
    document_key jsonb,
    ordinal int,
    content text,
    kept boolean,
    reason text,
    score float8,
    dense_rank int,
    lexical_rank int,
    rrf float8,
    similarity float8,
    bm25 float8,
    maxsim float8,
    relevance float8,
    search jsonb
) STABLE PARALLEL RESTRICTED ROWS 150 COST 20000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_explain_wrapper';
COMMENT ON FUNCTION @extschema@.rag_explain IS 'every candidate of a search with rank and score per stage, and why it was kept or not';
CREATE FUNCTION rag.distributed_status() RETURNS TABLE (
    collection text,
    server text,
    degraded boolean,
    documents bigint,
    indexed bigint,
    pending bigint,
    in_flight bigint,
    dead bigint,
    chunks bigint,
    lag interval,
    rate float8,
    eta interval,
    pages bigint,
    paused text,
    worker text,
    warning text
) VOLATILE PARALLEL RESTRICTED ROWS 10 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'distributed_status_wrapper';
COMMENT ON FUNCTION rag.distributed_status IS 'part of rag.status: what the servers of distributed collections say, a row for each partition and one for the whole';
CREATE FUNCTION @extschema@.rag_explain_text(
    collection text,
    query text,
    top_k bigint = 5,
    filter jsonb = NULL,
    rerank boolean = true,
    depth bigint = 100,
    candidates bigint = 50,
    dense_weight float8 = NULL,
    lexical_weight float8 = 1,
    rerank_weight float8 = NULL,
    per_document bigint = NULL,
    near_duplicate float8 = NULL,
    expand bigint = 0,
    syntax text = 'words',
    min_relevance float8 = NULL,
    history jsonb = NULL,
    partial boolean = false
) RETURNS SETOF text STABLE PARALLEL RESTRICTED ROWS 150 COST 20000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_explain_text_wrapper';
COMMENT ON FUNCTION @extschema@.rag_explain_text IS 'rag_explain as lines to read';
CREATE FUNCTION @extschema@.rag_answer_submit(
    collection text,
    question text,
    top_k bigint = 5,
    filter jsonb = NULL,
    model text = NULL,
    instructions text = NULL,
    per_document bigint = NULL,
    near_duplicate float8 = NULL,
    expand bigint = 0,
    history jsonb = NULL,
    context text = NULL,
    fallback bool = true,
    partial boolean = false
) RETURNS uuid VOLATILE PARALLEL UNSAFE COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_answer_submit_collection_wrapper';
COMMENT ON FUNCTION @extschema@.rag_answer_submit(text, text, bigint, jsonb, text, text, bigint, float8, bigint, jsonb, text, bool, boolean) IS 'searches a collection and leaves it to a worker to have a model answer; returns the number of the request';
CREATE FUNCTION @extschema@.rag_pause(collection text, generation bigint = NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'rag_pause_wrapper';
COMMENT ON FUNCTION @extschema@.rag_pause IS 'stops the indexing of a collection, or of one of its generations, until rag_resume';
COMMENT ON FUNCTION @extschema@.rag_answer_stream(text, text[], text, text, text, bool) IS 'an answer from passages, in rows that come while the model writes it';
CREATE FUNCTION @extschema@.rag_resume(collection text, generation bigint = NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'rag_resume_wrapper';
COMMENT ON FUNCTION @extschema@.rag_resume IS 'lets the indexing of a collection, or of one of its generations, go on';
COMMENT ON COLUMN rag.query_cache.hits IS 'questions whose embedding was known';
COMMENT ON COLUMN rag.query_cache.misses IS 'questions that were embedded';
COMMENT ON COLUMN rag.query_cache.shared IS 'whether all sessions share it, as they do where rag_pg is preloaded';
CREATE FUNCTION @extschema@.rag_maintain(collection text, rebuild boolean = NULL, questions bigint = 20)
RETURNS TABLE (
    method text,
    rows bigint,
    rows_indexed bigint,
    size bigint,
    lists int,
    recall float8,
    margin float8,
    reason text,
    action text,
    server text
) LANGUAGE c AS 'MODULE_PATHNAME', 'rag_maintain_wrapper';
COMMENT ON FUNCTION @extschema@.rag_maintain IS 'tells whether a collection''s vector index is stale, and has it built anew';
CREATE FUNCTION @extschema@.rag_answer(
    collection text,
    question text,
    top_k bigint = 5,
    filter jsonb = NULL,
    model text = NULL,
    instructions text = NULL,
    per_document bigint = NULL,
    near_duplicate float8 = NULL,
    expand bigint = 0,
    history jsonb = NULL,
    context text = NULL,
    fallback bool = true,
    format text = 'text',
    partial boolean = false
) RETURNS TABLE (
    answer text,
    citations jsonb,
    status text,
    confidence float8,
    query_id bigint,
    claims jsonb,
    usage jsonb
) STABLE PARALLEL RESTRICTED ROWS 1 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_answer_collection_wrapper';
COMMENT ON FUNCTION @extschema@.rag_answer(text, text, bigint, jsonb, text, text, bigint, float8, bigint, jsonb, text, bool, text, boolean) IS 'an answer to a question from a collection, with quotes and their places';
CREATE FUNCTION @extschema@.rag_answer_stream(
    collection text,
    question text,
    top_k bigint = 5,
    filter jsonb = NULL,
    model text = NULL,
    instructions text = NULL,
    per_document bigint = NULL,
    near_duplicate float8 = NULL,
    expand bigint = 0,
    history jsonb = NULL,
    context text = NULL,
    fallback bool = true,
    partial boolean = false
) RETURNS TABLE (kind text, content text, detail jsonb)
    VOLATILE PARALLEL RESTRICTED ROWS 10 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_answer_stream_collection_wrapper';
COMMENT ON FUNCTION @extschema@.rag_answer_stream(text, text, bigint, jsonb, text, text, bigint, float8, bigint, jsonb, text, bool, boolean) IS 'an answer from a collection, in rows that come while the model writes it';
CREATE FUNCTION @extschema@.rag_create_collection(
    name text,
    source regclass,
    content name,
    title name = NULL,
    model text = NULL,
    max_tokens bigint = NULL,
    overlap_tokens bigint = NULL,
    format text = 'auto',
    text_search_config regconfig = NULL,
    token_bits boolean = NULL,
    index text = 'hnsw',
    replicated boolean = false,
    lexical text = 'builtin',
    file_name name = NULL,
    media_type name = NULL,
    keep_text boolean = true,
    ocr boolean = false,
    large_objects boolean = false,
    chunk_schema name = NULL,
    create_remote boolean = false
) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'create_collection_wrapper';
COMMENT ON FUNCTION @extschema@.rag_create_collection IS 'keeps a table searchable: creates chunk tables, view and triggers, and queues every row';
COMMENT ON FUNCTION @extschema@.rag_answer_submit(text, text[], text, text, text, bool) IS 'leaves it to a worker to have a model answer from passages; returns the number of the request';
COMMENT ON COLUMN rag.query_stats.collection IS 'the collection';
CREATE OR REPLACE VIEW rag.generation_status WITH (security_barrier) AS
SELECT c.name AS collection,
       g.generation_id AS generation,
       g.state,
       g.model,
       g.fingerprint,
       g.dimensions,
       g.max_tokens,
       g.overlap_tokens,
       g.format,
       g.token_bits,
       -- Longer vectors than these cannot be indexed.
       CASE WHEN g.dimensions > 4000 THEN 'none' ELSE g.index_method END AS index,
       g.lexical,
       -- All of these are NULL for whom row-level security of the source shows a part of it.
       CASE WHEN w.is_told THEN p.indexed + COALESCE(n.new, 0) + w.inserted END AS documents,
       CASE WHEN w.is_told THEN p.indexed END AS indexed,
       CASE WHEN w.is_told THEN COALESCE(n.open, 0) - j.in_flight + w.pending END AS pending,
       CASE WHEN w.is_told THEN j.in_flight END AS in_flight,
       CASE WHEN w.is_told THEN COALESCE(n.dead, 0) END AS dead,
       CASE WHEN w.is_told THEN p.chunks END AS chunks,
       CASE WHEN w.is_told THEN p.embedded END AS embedded,
       CASE WHEN w.is_told THEN p.reused END AS reused,
       CASE WHEN w.is_told THEN p.tokens END AS tokens,
       CASE WHEN w.is_told THEN p.pages END AS pages,
       CASE WHEN w.is_told THEN p.pages / NULLIF(p.extracting, 0) END AS page_rate,
       CASE WHEN w.is_told THEN pg_catalog.clock_timestamp() - LEAST(j.oldest, w.oldest) END AS lag,
       CASE WHEN w.is_told THEN p.rate END AS rate,
       CASE WHEN w.is_told AND p.rate > 0 AND c.paused IS NULL AND g.paused IS NULL
             AND c.home = rag.home(c.source)
            THEN pg_catalog.make_interval(secs => pg_catalog.round(
                     ((COALESCE(n.open, 0) + w.pending - j.done) / p.rate)::numeric)::float8) END AS eta,
       CASE WHEN w.is_told
            THEN rag.size_unless_locked(g.documents) + rag.size_unless_locked(g.chunks)
                 + CASE WHEN g.bits IS NULL THEN 0 ELSE rag.size_unless_locked(g.bits) END
                 + CASE WHEN g.segments IS NULL THEN 0
                        ELSE rag.size_unless_locked(g.segments) + rag.size_unless_locked(g.postings) END END AS bytes,
       CASE WHEN w.is_told THEN g.calibration END AS calibration,
       g.loaded_at IS NOT NULL AS is_loaded,
       CASE WHEN NOT w.is_told THEN NULL
            WHEN g.state = 'active' THEN 0
            ELSE COALESCE(n.open, 0) - COALESCE(rag.jobs_of_both(g.generation_id, a.generation_id, false), 0)
                 + (SELECT pg_catalog.count(*) FROM rag.scan mine
                     WHERE mine.generation_id = g.generation_id
                       AND NOT EXISTS (SELECT FROM rag.scan s WHERE s.generation_id = a.generation_id))
             END AS behind,
       CASE WHEN NOT w.is_told THEN NULL
            WHEN g.state = 'active' THEN 0
            ELSE COALESCE(n.dead, 0) - COALESCE(rag.jobs_of_both(g.generation_id, a.generation_id, true), 0)
             END AS missing,
       g.switches,
       CASE WHEN w.is_told THEN p.heartbeat END AS worker_heartbeat,
       COALESCE(CASE WHEN o.is_owner AND (c.paused IS NOT NULL OR g.paused IS NOT NULL) THEN p.paused END,
                c.paused, g.paused,
                CASE WHEN c.home <> rag.home(c.source)
                     THEN 'restored or cloned: rag_verify() lets it go on' END) AS paused,
       -- A document is due again at a time of its own; a generation as a whole rests as long as its worker knows.
       CASE WHEN rag.worker_state() NOT IN ('off', 'outdated', 'primary') AND j.in_flight = 0 AND w.pending = 0 AND c.paused IS NULL AND g.paused IS NULL
                 AND (j.ready_at > pg_catalog.clock_timestamp()
                      OR j.ready_at IS NOT NULL AND rag.worker_state() = 'running' AND p.sqlstate IS NOT NULL)
            THEN 'waiting'
            WHEN rag.worker_state() = 'none'
            THEN CASE WHEN LEAST(j.ready_at, w.oldest) < pg_catalog.clock_timestamp() - interval '10 seconds'
                           AND c.paused IS NULL AND g.paused IS NULL AND c.home = rag.home(c.source)
                      THEN 'missing' ELSE 'idle' END
            ELSE rag.worker_state() END AS worker,
       CASE WHEN o.is_owner THEN p.error END AS error,
       p.sqlstate,
       g.created_at,
       g.loaded_at
  FROM rag.collection c
  JOIN pg_catalog.pg_class r ON r.oid = c.source
  JOIN rag.generation g ON g.collection_id = c.collection_id
 CROSS JOIN LATERAL (SELECT pg_catalog.pg_has_role(r.relowner, 'USAGE') AS is_owner) AS o
  LEFT JOIN rag.generation a ON a.collection_id = c.collection_id AND a.state = 'active'
  LEFT JOIN rag.progress p ON p.generation_id = g.generation_id
  LEFT JOIN (SELECT n.generation_id, pg_catalog.sum(n.open)::bigint AS open, pg_catalog.sum(n.dead)::bigint AS dead,
                    pg_catalog.sum(n.new)::bigint AS new
               FROM rag.job_count n
              GROUP BY n.generation_id) AS n ON n.generation_id = g.generation_id
 CROSS JOIN LATERAL (
       -- A worker stores many documents at once. What it has done of them since it began is estimated: its share of the rate.
       SELECT COALESCE(pg_catalog.sum(b.jobs), 0)::bigint,
              COALESCE(pg_catalog.sum(LEAST(b.begun, p.rate / b.workers
                           * EXTRACT(epoch FROM pg_catalog.clock_timestamp() - b.since)::float8)), 0),
              (SELECT pg_catalog.min(j.queued_at) FROM rag.job j
                WHERE j.generation_id = g.generation_id AND NOT j.is_dead),
              -- A claim is not ready before its lease ends.
              (SELECT pg_catalog.min(j.ready_at) FROM rag.job j
                WHERE j.generation_id = g.generation_id AND NOT j.is_dead)
         FROM (SELECT pg_catalog.count(*) AS jobs, pg_catalog.count(j.begun_at) AS begun, pg_catalog.min(j.begun_at) AS since,
                      pg_catalog.count(*) OVER () AS workers
                 FROM rag.job j
                WHERE j.generation_id = g.generation_id AND j.worker IS NOT NULL AND NOT j.is_dead
                  AND j.ready_at > pg_catalog.clock_timestamp()
                GROUP BY j.worker) AS b) AS j (in_flight, done, oldest, ready_at)
 CROSS JOIN LATERAL (
       -- A comparison of the whole source finds what else waits too, which is not to be counted twice.
       SELECT CASE WHEN pg_catalog.bool_or(w.is_whole) THEN 1 ELSE COALESCE(pg_catalog.sum(w.documents), 0) END::bigint,
              CASE WHEN pg_catalog.bool_or(w.is_whole) THEN 0
                   ELSE COALESCE(pg_catalog.sum(w.documents) FILTER (WHERE w.is_insert), 0) END::bigint,
              pg_catalog.min(w.changed_at),
              -- Here, where it is computed once.
              o.is_owner OR pg_catalog.pg_has_role('pg_monitor', 'USAGE') OR NOT pg_catalog.row_security_active(r.oid)
         FROM (SELECT pg_catalog.cardinality(w.keys) AS documents, w.is_insert, w.keys IS NULL AS is_whole, w.changed_at
                 FROM rag.change w
                WHERE w.collection_id = c.collection_id AND g.state <> 'retired'
                UNION ALL
               SELECT 0, false, true, s.started_at
                 FROM rag.scan s
                WHERE s.generation_id = g.generation_id) AS w) AS w (pending, inserted, oldest, is_told)
 WHERE o.is_owner OR pg_catalog.has_table_privilege(g.chunks, 'SELECT') OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON COLUMN rag.generation_status.collection IS 'the collection';
COMMENT ON COLUMN rag.generation_status.generation IS 'number of the generation';
COMMENT ON COLUMN rag.generation_status.model IS 'name of the embedder';
COMMENT ON COLUMN rag.generation_status.fingerprint IS 'hash over everything that changes the model''s vectors';
COMMENT ON COLUMN rag.generation_status.dimensions IS 'length of the vectors';
COMMENT ON COLUMN rag.generation_status.max_tokens IS 'most tokens of a chunk, special tokens excluded';
COMMENT ON COLUMN rag.generation_status.overlap_tokens IS 'most tokens that two neighbouring chunks share';
COMMENT ON COLUMN rag.generation_status.format IS 'format of the documents: auto, plain, markdown, html, or one of files';
COMMENT ON COLUMN rag.generation_status.token_bits IS 'whether token bits are kept for reranking';
COMMENT ON COLUMN rag.generation_status.index IS 'method of the vector index: hnsw, ivfflat or none';
COMMENT ON COLUMN rag.generation_status.lexical IS 'what finds chunks by their words: builtin, or another extension';
COMMENT ON COLUMN rag.generation_status.indexed IS 'documents with chunks';
COMMENT ON COLUMN rag.generation_status.in_flight IS 'documents being worked on';
COMMENT ON COLUMN rag.generation_status.dead IS 'documents given up; rag.dead_job says why';
COMMENT ON COLUMN rag.generation_status.chunks IS 'chunks stored';
COMMENT ON COLUMN rag.generation_status.lag IS 'age of the oldest change not yet searchable; NULL when there is none';
COMMENT ON COLUMN rag.generation_status.rate IS 'documents stored a second, by all workers together, smoothed';
COMMENT ON COLUMN rag.generation_status.eta IS 'time until nothing is pending, at that rate';
COMMENT ON COLUMN rag.generation_status.worker_heartbeat IS 'last sign of life of whoever works on it';
COMMENT ON COLUMN rag.generation_status.worker IS 'running; idle: there is nothing to do; missing: there is, and none could be started; off: rag_pg.workers is 0; outdated: run ALTER EXTENSION rag_pg UPDATE, or restart the server; primary: this is a standby, whose primary has the workers';
COMMENT ON COLUMN rag.generation_status.created_at IS 'when it was made';
COMMENT ON COLUMN rag.generation_status.loaded_at IS 'when the first load was in and the vector index built, or NULL';
CREATE OR REPLACE VIEW rag.status WITH (security_barrier) AS
SELECT s.collection, s.documents, s.indexed, s.pending, s.in_flight, s.dead, s.chunks, s.lag, s.rate, s.eta, s.worker_heartbeat,
       s.paused, s.worker,
       -- To whom pending is told, everything is.
       CASE WHEN s.pending IS NOT NULL THEN COALESCE(t.calls, 0) END AS remote_calls,
       CASE WHEN s.pending IS NOT NULL THEN COALESCE(t.tokens, 0) END AS remote_tokens,
       CASE WHEN s.pending IS NOT NULL THEN t.cost END AS remote_cost,
       (SELECT q.hit_rate FROM rag.query_cache q) AS query_cache_hit_rate,
       s.pages, s.page_rate,
       (SELECT rag.pgvector_warning()) AS warning,
       NULL::text AS server,
       false AS degraded
  FROM rag.generation_status s
  JOIN rag.collection c ON c.name = s.collection
  LEFT JOIN rag.call_total t ON t.collection_id = c.collection_id
 WHERE s.state = 'active'
 UNION ALL
SELECT d.collection, d.documents, d.indexed, d.pending, d.in_flight, d.dead, d.chunks, d.lag, d.rate, d.eta, NULL, d.paused, d.worker,
       NULL, NULL, NULL, NULL, d.pages, NULL, d.warning, d.server, d.degraded
  FROM rag.distributed_status() d;
COMMENT ON COLUMN rag.status.collection IS 'the collection';
COMMENT ON COLUMN rag.status.chunks IS 'chunks stored';
COMMENT ON COLUMN rag.status.worker IS 'running; idle: there is nothing to do; waiting: what is left failed and is tried again later; missing: there is work, and none could be started; off: rag_pg.workers is 0; outdated: run ALTER EXTENSION rag_pg UPDATE, or restart the server; primary: this is a standby, whose primary has the workers';
COMMENT ON COLUMN rag.status.warning IS 'what is wrong with the installed pgvector, or NULL; the same in every row';
COMMENT ON COLUMN rag.status.server IS 'of a distributed collection, which has a row for each partition and one for the whole: the server that the row is about; else NULL';
COMMENT ON COLUMN rag.status.degraded IS 'of a distributed collection: whether the server, or one of them, does not answer';
COMMENT ON COLUMN rag.extraction.collection IS 'the collection';
COMMENT ON COLUMN rag.extraction.generation IS 'number of the generation';
COMMENT ON COLUMN rag.dead_job.collection IS 'the collection';
COMMENT ON COLUMN rag.dead_job.attempts IS 'how often it was tried';
COMMENT ON COLUMN rag.dead_job.queued_at IS 'when its change was noticed';
COMMENT ON COLUMN rag.dead_job.failed_at IS 'when it was given up';
CREATE FUNCTION @extschema@.rag_rebuild(
    collection text,
    model text = NULL,
    max_tokens bigint = NULL,
    overlap_tokens bigint = NULL,
    format text = NULL,
    token_bits boolean = NULL,
    index text = NULL,
    switch boolean = false,
    lexical text = NULL
) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'rag_rebuild_wrapper';
COMMENT ON FUNCTION @extschema@.rag_rebuild IS 'builds a new generation of a collection beside the one that searches run on; returns its number';
CREATE FUNCTION @extschema@.rag_attach_collection(
    name text,
    source regclass = NULL,
    content name = NULL,
    title name = NULL,
    documents regclass = NULL
) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'rag_attach_collection_wrapper';
COMMENT ON FUNCTION @extschema@.rag_attach_collection IS 'has chunk tables that were detached, or restored without their collection, follow a table again; embeds only what changed';
CREATE FUNCTION @extschema@.rag_switch(collection text, generation bigint = NULL, force boolean = false) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'rag_switch_wrapper';
COMMENT ON FUNCTION @extschema@.rag_switch IS 'lets searches run on another generation, by default the one just built; returns its number';
CREATE FUNCTION @extschema@.rag_estimate(
    collection text,
    model text = NULL,
    max_tokens bigint = NULL,
    overlap_tokens bigint = NULL,
    format text = NULL,
    token_bits boolean = NULL,
    index text = NULL,
    lexical text = NULL
) RETURNS TABLE (
    documents bigint,
    chunks bigint,
    tokens bigint,
    embed bigint,
    bytes bigint,
    duration interval,
    cost float8
) ROWS 1 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_estimate_wrapper';
COMMENT ON FUNCTION @extschema@.rag_estimate IS 'what rag_rebuild with these options would cost, from a sample of the documents';
CREATE FUNCTION @extschema@.rag_import_embeddings(
    collection text,
    source regclass,
    content name = 'chunk',
    embedding name = 'embedding',
    sample bigint = 20,
    min_similarity float8 = 0.99
) RETURNS TABLE (rows bigint, texts bigint, similarity float8, chunks bigint, matched bigint)
    LANGUAGE c AS 'MODULE_PATHNAME', 'rag_import_embeddings_wrapper';
COMMENT ON FUNCTION @extschema@.rag_import_embeddings IS 'takes vectors that a table has already for texts that a collection is to embed, after a look whether they are its model''s';
CREATE FUNCTION @extschema@.rag_prune(collection text, generation bigint = NULL) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'rag_prune_wrapper';
COMMENT ON FUNCTION @extschema@.rag_prune IS 'drops generations of a collection that searches do not run on; returns how many';
