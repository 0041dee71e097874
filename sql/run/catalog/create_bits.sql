-- Run by rag_create_collection and rag_rebuild as the source's owner. Read by chunk id only, so out of line of the
-- chunks that index scans visit; not compressed, since signs of vectors do not compress.
CREATE TABLE {bits} (
    chunk_id       bigint PRIMARY KEY,
    heading_tokens int NOT NULL,
    bits           bytea NOT NULL
);
ALTER TABLE {bits} ALTER COLUMN bits SET STORAGE EXTERNAL;
REVOKE USAGE ON TYPE {bits} FROM PUBLIC;
COMMENT ON TABLE {bits} IS {bits_comment};
