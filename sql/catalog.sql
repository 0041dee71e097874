-- Catalog and queue. Run by CREATE EXTENSION; owned by the extension's owner. Users read the catalog
-- and never write any of these tables: functions write for them, with finished values only.

CREATE SEQUENCE rag.collection_id AS int;
CREATE TABLE rag.collection (
    collection_id      int PRIMARY KEY DEFAULT pg_catalog.nextval('rag.collection_id'),
    name               text COLLATE "C" NOT NULL UNIQUE,
    source             regclass NOT NULL,
    content_column     name NOT NULL,
    title_column       name,
    content_kind       text NOT NULL DEFAULT 'text' CHECK (content_kind IN ('text', 'file', 'large object')),
    file_name_column   name,
    media_type_column  name,
    keep_text          boolean NOT NULL DEFAULT true,
    ocr                boolean NOT NULL DEFAULT false,
    key_columns        name[] NOT NULL,
    -- Column numbers of content, title, file name, media type (0: none) and keys, by which a rename is noticed.
    column_numbers     int2[] NOT NULL,
    -- A restored table has other column numbers, and nobody asked a cloned database to pay for a model:
    -- where rag.home(source) is another, the collection stands still until rag_verify.
    home               text NOT NULL,
    view               regclass,
    -- Text, not regconfig: pg_upgrade refuses tables with regconfig columns.
    text_search_config text NOT NULL,
    replicated         boolean NOT NULL,
    paused             text,
    created_at         timestamptz NOT NULL DEFAULT pg_catalog.now(),
    -- Its tables are kept, but hang on no source: nothing else may use them until rag_attach_collection.
    detached_at        timestamptz
);
CREATE INDEX ON rag.collection (source);
COMMENT ON TABLE rag.collection IS 'one row per collection: a source table kept searchable';
COMMENT ON COLUMN rag.collection.collection_id IS 'number of the collection';
COMMENT ON COLUMN rag.collection.name IS 'its name';
COMMENT ON COLUMN rag.collection.source IS 'the table that is searched';
COMMENT ON COLUMN rag.collection.content_column IS 'column with the documents';
COMMENT ON COLUMN rag.collection.key_columns IS 'columns of the source''s primary key, in its order';
COMMENT ON COLUMN rag.collection.column_numbers IS 'numbers of content, title, file name, media type (0: none) and keys, by which a renamed column is known again';
COMMENT ON COLUMN rag.collection.view IS 'the view over the active generation, or NULL where it was dropped';
COMMENT ON COLUMN rag.collection.text_search_config IS 'text search configuration, qualified and quoted';
COMMENT ON COLUMN rag.collection.created_at IS 'when it was created';
COMMENT ON COLUMN rag.collection.title_column IS 'column whose text heads every heading path, or NULL';
COMMENT ON COLUMN rag.collection.content_kind IS 'what the content column holds: texts, files, or numbers of large objects that are files';
COMMENT ON COLUMN rag.collection.file_name_column IS 'column with the names of the files, or NULL';
COMMENT ON COLUMN rag.collection.media_type_column IS 'column with the MIME types of the files, or NULL';
COMMENT ON COLUMN rag.collection.keep_text IS 'whether the text of files is kept, so that it is extracted once';
COMMENT ON COLUMN rag.collection.ocr IS 'whether rag_pg.ocr_program recognizes the text of files that have none';
COMMENT ON COLUMN rag.collection.home IS 'cluster, database and table for which it was created or last verified';
COMMENT ON COLUMN rag.collection.replicated IS 'whether changes that logical replication applies are noticed too';
COMMENT ON COLUMN rag.collection.paused IS 'why ingestion stands still, or NULL';
COMMENT ON COLUMN rag.collection.detached_at IS 'when rag_detach_collection() took it off its source, or NULL';

-- Not dumped: before rag_verify takes a restored collection over, its partitions are those that it has.
CREATE TABLE rag.source_partition (
    collection_id int NOT NULL,
    partition     regclass NOT NULL,
    PRIMARY KEY (collection_id, partition)
);
CREATE INDEX ON rag.source_partition (partition);
COMMENT ON TABLE rag.source_partition IS 'partitions that were given a collection''s triggers: one that is detached or dropped is known by it';
COMMENT ON COLUMN rag.source_partition.collection_id IS 'the collection';
COMMENT ON COLUMN rag.source_partition.partition IS 'the partition';

-- Its partitions are read at each use, its chunks lie on their servers. Numbers are those of other collections.
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

CREATE SEQUENCE rag.generation_id AS int;
CREATE TABLE rag.generation (
    generation_id  int PRIMARY KEY DEFAULT pg_catalog.nextval('rag.generation_id'),
    -- No foreign key: a parallel pg_restore loads both tables at once.
    collection_id  int NOT NULL,
    state          text NOT NULL CHECK (state IN ('building', 'active', 'standby', 'retired')),
    model          text NOT NULL,
    fingerprint    text NOT NULL,
    storage_format int NOT NULL,
    analysis       int NOT NULL,
    dimensions     int NOT NULL,
    max_tokens     int NOT NULL,
    overlap_tokens int NOT NULL,
    format         text NOT NULL,
    token_bits     boolean NOT NULL,
    index_method   text NOT NULL CHECK (index_method IN ('hnsw', 'ivfflat', 'none')),
    lexical        text NOT NULL DEFAULT 'builtin' CHECK (lexical IN ('builtin', 'pg_textsearch', 'pg_search')),
    -- Some of them lose what they had in memory when the server ends: one counts only from the next check on.
    lexical_checked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    documents      regclass NOT NULL,
    chunks         regclass NOT NULL,
    bits           regclass,
    -- Generations of storage format 1 have none.
    segments       regclass,
    postings       regclass,
    -- The vector index is built once the first load is in: row by row into an empty one costs more.
    loaded_at      timestamptz,
    -- By these rag_maintain tells whether the vector index is stale.
    index_rows     bigint,
    index_size     bigint,
    index_wanted   boolean NOT NULL DEFAULT false,
    -- An index is known by its dependency on the extension, which survives what it is renamed, rebuilt or restored by;
    -- but while it is being built it has none.
    index_being_built name,
    -- Why this generation alone stands still: its model is missing, or someone said so.
    paused         text,
    -- What sampled sentences say of its signals, and of how many chunks. Of two workers that come to it, one calibrates.
    calibration    jsonb,
    calibrated_chunks bigint,
    calibrating_until timestamptz,
    switches       boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CHECK (storage_format < 2 OR segments IS NOT NULL AND postings IS NOT NULL)
);
CREATE INDEX ON rag.generation (collection_id);
-- At most one generation in each of these states; any number can be retired.
CREATE UNIQUE INDEX ON rag.generation (collection_id, state) WHERE state <> 'retired';
COMMENT ON TABLE rag.generation IS 'one immutable build of a collection: chunking settings and model fingerprint, with its own tables';
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
COMMENT ON COLUMN rag.generation.state IS 'building: filled beside the active one; active: what searches run on; standby: was active, and still follows the source; retired: follows no more';
COMMENT ON COLUMN rag.generation.storage_format IS 'version of the formats in which chunks, hashes, vectors and token bits are stored; the library reads one';
COMMENT ON COLUMN rag.generation.analysis IS 'version of the analysis by which texts became words when it was created';
COMMENT ON COLUMN rag.generation.max_tokens IS 'most tokens of a chunk, special tokens excluded';
COMMENT ON COLUMN rag.generation.index_method IS 'vector index asked for; vectors of more than 4,000 dimensions have none';
COMMENT ON COLUMN rag.generation.lexical IS 'whose index finds chunks by their words: ours, or that of another extension';
COMMENT ON COLUMN rag.generation.lexical_checked_at IS 'when another extension''s index was created or last found complete';
COMMENT ON COLUMN rag.generation.bits IS 'table of token bits for reranking, or NULL';
COMMENT ON COLUMN rag.generation.segments IS 'table of the segments of the inverted file, with the small ones in whole';
COMMENT ON COLUMN rag.generation.postings IS 'table of the posting lists of its larger segments';
COMMENT ON COLUMN rag.generation.loaded_at IS 'when the first load was in and the vector index built, or NULL';
COMMENT ON COLUMN rag.generation.paused IS 'why ingestion into this generation stands still, or NULL';
COMMENT ON COLUMN rag.generation.calibration IS 'by the script of a question: how well each signal finds sampled sentences, what weight that gives the model, and the scales of relevance; NULL before';
COMMENT ON COLUMN rag.generation.calibrated_chunks IS 'chunks there were when it was calibrated';
COMMENT ON COLUMN rag.generation.calibrating_until IS 'until when a worker that calibrates keeps others from it';
COMMENT ON COLUMN rag.generation.switches IS 'searches switch to it by themselves once it is complete';
COMMENT ON COLUMN rag.generation.index_rows IS 'chunks there were when the vector index was built';
COMMENT ON COLUMN rag.generation.index_size IS 'bytes of the vector index when it was built';
COMMENT ON COLUMN rag.generation.index_being_built IS 'name of the vector index that is being built, or NULL';
COMMENT ON COLUMN rag.generation.index_wanted IS 'the vector index is to be built anew';

COMMENT ON SEQUENCE rag.collection_id IS 'numbers of collections';
COMMENT ON SEQUENCE rag.generation_id IS 'numbers of generations';
CREATE SEQUENCE rag.chunk_id;
COMMENT ON SEQUENCE rag.chunk_id IS 'chunk ids of all collections: an id is never used again';

-- User transactions append here and touch nothing else: no key but the primary one, so they can
-- neither wait for nor fail because of each other.
CREATE TABLE rag.change (
    change_id     bigint GENERATED ALWAYS AS IDENTITY,
    collection_id int NOT NULL,
    keys          text[],
    is_insert     boolean NOT NULL DEFAULT false,
    changed_at    timestamptz NOT NULL DEFAULT pg_catalog.now(),
    -- Collections have their changes taken in turns.
    PRIMARY KEY (collection_id, change_id)
);
COMMENT ON SEQUENCE rag.change_change_id_seq IS 'numbers of changes';
COMMENT ON TABLE rag.change IS 'documents that changed, up to 1,000 a row, in the order written; workers turn them into jobs';
COMMENT ON COLUMN rag.change.change_id IS 'the order in which they were written';
COMMENT ON COLUMN rag.change.collection_id IS 'the collection';
COMMENT ON COLUMN rag.change.changed_at IS 'when the transaction that wrote it began';
COMMENT ON COLUMN rag.change.is_insert IS 'the keys were not in the source before';
COMMENT ON COLUMN rag.change.keys IS 'each a JSON array of the key columns as text; NULL: compare the whole source';

-- Only workers write jobs.
CREATE SEQUENCE rag.token;
COMMENT ON SEQUENCE rag.token IS 'claims of jobs; never restarts, so a late worker cannot hold a newer claim';
CREATE TABLE rag.job (
    generation_id int NOT NULL,
    key           text COLLATE "C" NOT NULL,
    token         bigint NOT NULL DEFAULT pg_catalog.nextval('rag.token'),
    is_new        boolean NOT NULL,
    is_dead       boolean NOT NULL DEFAULT false,
    attempts      int NOT NULL DEFAULT 0,
    doubtful      int NOT NULL DEFAULT 0,
    queued_at     timestamptz NOT NULL,
    -- Not before: now for a waiting job, the end of the lease for a claimed one, later after a failure.
    ready_at      timestamptz NOT NULL DEFAULT pg_catalog.now(),
    worker        int,
    -- When its worker began with it: a claim is worked off in pieces.
    begun_at      timestamptz,
    losses        int NOT NULL DEFAULT 0,
    -- Of a file that takes long: pages extracted, and how many there are.
    page          int,
    pages         int,
    failure       text CHECK (failure IN ('transient', 'rate-limited', 'outage', 'row', 'configuration')),
    reason        text,
    excerpt       text,
    PRIMARY KEY (token)
);
-- A key as text may be longer than an index takes, though the key itself is not: what is unique is its hash.
CREATE UNIQUE INDEX ON rag.job (generation_id, rag.source_hash(NULL, key));
CREATE INDEX ON rag.job (generation_id, ready_at) WHERE NOT is_dead;
-- For rag.status, which counts no jobs but those being worked on.
CREATE INDEX ON rag.job (generation_id, queued_at) WHERE NOT is_dead;
CREATE INDEX ON rag.job (generation_id) WHERE worker IS NOT NULL;
CREATE INDEX ON rag.job (generation_id, rag.source_hash(NULL, key)) WHERE is_dead;
COMMENT ON COLUMN rag.job.doubtful IS 'attempts, the last in a row, in which a remote model failed at it while others succeeded';
COMMENT ON COLUMN rag.job.losses IS 'backends that ended while they worked on it, and the one that does now';
COMMENT ON TABLE rag.job IS 'documents to bring up to date; a dead one was given up and keeps its reason';
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
COMMENT ON COLUMN rag.job.is_new IS 'the document has no chunks yet';
COMMENT ON COLUMN rag.job.worker IS 'process id of the claiming backend while its lease lasts';

-- Triggers append what each statement changes, in its own transaction, so that nobody waits for a counter and every
-- snapshot sees the sum that its jobs have; workers fold many rows into one. It stays small: no index by generation.
CREATE TABLE rag.job_count (
    generation_id int NOT NULL,
    open          bigint NOT NULL,
    dead          bigint NOT NULL,
    new           bigint NOT NULL,
    -- Where all tables are published, no row of one without a key can be deleted.
    count_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
COMMENT ON SEQUENCE rag.job_count_count_id_seq IS 'keys of counters';
COMMENT ON TABLE rag.job_count IS 'how many jobs a generation has: the sum of its rows';
COMMENT ON COLUMN rag.job_count.generation_id IS 'the generation';
COMMENT ON COLUMN rag.job_count.dead IS 'jobs that were given up';
COMMENT ON COLUMN rag.job_count.open IS 'jobs that are not dead';
COMMENT ON COLUMN rag.job_count.count_id IS 'nothing but a key';
COMMENT ON COLUMN rag.job_count.new IS 'documents among both that have no chunks yet';

-- Filled by rag_import_embeddings, emptied when the first load is in. Not dumped, and for nobody to read: vectors tell what texts say.
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

-- A comparison of source and documents under way, resumable at a key.
CREATE TABLE rag.scan (
    generation_id int PRIMARY KEY,
    side          text NOT NULL DEFAULT 'source' CHECK (side IN ('source', 'documents')),
    after_key     text,
    is_repeated   boolean NOT NULL DEFAULT false,
    started_at    timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE rag.scan IS 'comparisons of a source with its documents that are under way';
COMMENT ON COLUMN rag.scan.generation_id IS 'the generation that is compared';
COMMENT ON COLUMN rag.scan.started_at IS 'when it began';
COMMENT ON COLUMN rag.scan.side IS 'source: rows without chunks; documents: chunks without a row';
COMMENT ON COLUMN rag.scan.after_key IS 'last key compared, or NULL at the start';
COMMENT ON COLUMN rag.scan.is_repeated IS 'another comparison was asked for meanwhile';

CREATE TABLE rag.progress (
    generation_id int PRIMARY KEY,
    indexed       bigint NOT NULL DEFAULT 0,
    chunks        bigint NOT NULL DEFAULT 0,
    embedded      bigint NOT NULL DEFAULT 0,
    reused        bigint NOT NULL DEFAULT 0,
    tokens        bigint NOT NULL DEFAULT 0,
    pages         bigint NOT NULL DEFAULT 0,
    extracting    float8 NOT NULL DEFAULT 0,
    rate          float8,
    rated_at      timestamptz,
    rate_weight   float8 NOT NULL DEFAULT 0,
    in_hand       float8 NOT NULL DEFAULT 0,
    worker        int,
    heartbeat     timestamptz,
    error         text,
    paused        text,
    sqlstate      text
);
COMMENT ON TABLE rag.progress IS 'counters that workers keep, so that rag.status is cheap at any size';
COMMENT ON COLUMN rag.progress.generation_id IS 'the generation';
COMMENT ON COLUMN rag.progress.indexed IS 'documents with chunks';
COMMENT ON COLUMN rag.progress.chunks IS 'chunks stored';
COMMENT ON COLUMN rag.progress.worker IS 'process id of whoever works on it, or NULL';
COMMENT ON COLUMN rag.progress.heartbeat IS 'its last sign of life';
COMMENT ON COLUMN rag.progress.embedded IS 'chunks embedded since the generation was made';
COMMENT ON COLUMN rag.progress.reused IS 'chunks whose vectors another generation had already';
COMMENT ON COLUMN rag.progress.tokens IS 'tokens embedded since the generation was made';
COMMENT ON COLUMN rag.progress.pages IS 'pages of files whose text was extracted since the generation was made';
COMMENT ON COLUMN rag.progress.extracting IS 'seconds that this took, all workers together';
COMMENT ON COLUMN rag.progress.error IS 'what went wrong last with the generation as a whole, or NULL';
COMMENT ON COLUMN rag.progress.paused IS 'what the error said that paused it, for the owner: rag.collection and rag.generation, which everyone reads, have no words of documents and providers';
COMMENT ON COLUMN rag.progress.sqlstate IS 'of the error in error or paused';
COMMENT ON COLUMN rag.progress.rate IS 'documents a second, done by all workers together, smoothed';
COMMENT ON COLUMN rag.progress.rated_at IS 'when documents were last stored';
COMMENT ON COLUMN rag.progress.rate_weight IS 'how much time the rate is of: near 0 after a moment, and 1 at last';
COMMENT ON COLUMN rag.progress.in_hand IS 'how many documents the other workers had done then but not stored, as estimated';

-- What is dumped here can be read by everyone, since pg_dump gives up at the first table it may not read. Changes, jobs and counters are not dumped; rag_verify finds out what they would have said.
GRANT SELECT ON rag.collection, rag.generation, rag.distributed_collection TO PUBLIC;
GRANT SELECT ON SEQUENCE rag.collection_id, rag.generation_id, rag.chunk_id, rag.token TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('rag.collection', '');
SELECT pg_catalog.pg_extension_config_dump('rag.generation', '');
SELECT pg_catalog.pg_extension_config_dump('rag.distributed_collection', '');
SELECT pg_catalog.pg_extension_config_dump('rag.collection_id', '');
SELECT pg_catalog.pg_extension_config_dump('rag.generation_id', '');
SELECT pg_catalog.pg_extension_config_dump('rag.chunk_id', '');
SELECT pg_catalog.pg_extension_config_dump('rag.token', '');
