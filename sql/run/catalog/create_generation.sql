-- Run by rag_create_collection and rag_rebuild as the source's owner, in the source's schema.
-- Rows of chunks and bits are inserted and deleted, never updated: an update would put every
-- vector into the index again. Order and offsets lie in the one row of documents that an edit rewrites.
CREATE TABLE {documents} (
    {key_definitions},
    source_hash bytea NOT NULL,
    chunk_ids   bigint[] NOT NULL,
    char_starts int[] NOT NULL,
    char_ends   int[] NOT NULL,
    pages       int[],
    {file_columns}indexed_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY ({keys})
);
CREATE TABLE {chunks} (
    chunk_id     bigint PRIMARY KEY,
    {key_definitions},
    content      text NOT NULL,
    content_hash bytea NOT NULL,
    section      text,
    token_count  int NOT NULL,
    lexeme_count int NOT NULL,
    lexemes      tsvector NOT NULL,
    embedding    {vector} NOT NULL
);
-- The inverted file: which chunks hold a lexeme. Read by the library alone, without asking row security: it shows nobody a row of these.
CREATE TABLE {segments} (
    -- Starts anew after two thousand million transactions; a number still in use is a unique violation, which is retried.
    segment     int GENERATED ALWAYS AS IDENTITY (CYCLE) PRIMARY KEY,
    -- Of deleted chunks: they cancel those of other segments.
    is_deletion boolean NOT NULL,
    chunks      bigint NOT NULL,
    length      bigint NOT NULL,
    -- All posting lists of a small segment; those of others lie in the other table.
    postings    bytea
) USING heap WITH (autovacuum_vacuum_scale_factor = 0.1, toast.autovacuum_vacuum_scale_factor = 0.1);
-- Part 0 has the lists of some lexemes from this one on, others a piece of a long list each. Two rows fill a page, and each is read
-- in whole: in line. Packed numbers do not compress.
CREATE TABLE {postings} (
    segment int NOT NULL,
    part    int NOT NULL,
    lexeme  text COLLATE pg_catalog."C" NOT NULL,
    data    bytea NOT NULL,
    PRIMARY KEY (segment, part, lexeme)
) USING heap WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.1);
ALTER TABLE {segments} ALTER COLUMN postings SET STORAGE EXTERNAL;
ALTER TABLE {postings} ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX ON {chunks} ({keys});
-- Every search reads keys, lexemes and vectors of hundreds of chunks, but texts of the few it returns: those
-- move out of line first. An exact scan over vectors out of line takes five times as long.
ALTER TABLE {chunks} {keys_main}ALTER COLUMN lexemes SET STORAGE MAIN, ALTER COLUMN embedding SET STORAGE {vector_storage};
-- EXPLAIN shows what statistics make the planner expect, whoever asks and whatever policies hide: no column with what
-- documents say has any.
ALTER TABLE {chunks} ALTER COLUMN content SET STATISTICS 0, ALTER COLUMN content_hash SET STATISTICS 0,
    ALTER COLUMN section SET STATISTICS 0, ALTER COLUMN lexemes SET STATISTICS 0, ALTER COLUMN embedding SET STATISTICS 0;
ALTER TABLE {documents} {file_statistics}ALTER COLUMN source_hash SET STATISTICS 0;
ALTER TABLE {segments} ALTER COLUMN postings SET STATISTICS 0;
ALTER TABLE {postings} ALTER COLUMN lexeme SET STATISTICS 0, ALTER COLUMN data SET STATISTICS 0;
-- A table of another's with a column of a row type would keep these from being dropped.
REVOKE USAGE ON TYPE {documents}, {chunks}, {segments}, {postings} FROM PUBLIC;
COMMENT ON TABLE {chunks} IS {chunks_comment};
COMMENT ON TABLE {segments} IS {segments_comment};
COMMENT ON TABLE {postings} IS {postings_comment};
