-- Counters of searches and answers as workers stored them last. Run by CREATE EXTENSION. Nobody but the extension's owner may
-- touch the table. It is not dumped: what was asked of one server was not asked of another, and pg_dump gives up at the first
-- table it may not read.
CREATE TABLE rag.query_total (
    collection_id int NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('search', 'answer')),
    -- A sum is that of both; counters in memory of the same incarnation take the place of the second.
    earlier       bigint[] NOT NULL,
    incarnation   bigint NOT NULL,
    counters      bigint[] NOT NULL,
    PRIMARY KEY (collection_id, kind)
);
COMMENT ON TABLE rag.query_total IS 'counters of searches and answers as stored last; the view rag.query_stats shows what they are now';
COMMENT ON COLUMN rag.query_total.collection_id IS 'the collection';
COMMENT ON COLUMN rag.query_total.kind IS 'search or answer';
COMMENT ON COLUMN rag.query_total.earlier IS 'what earlier incarnations counted';
COMMENT ON COLUMN rag.query_total.incarnation IS 'which counters in shared memory are stored here';
COMMENT ON COLUMN rag.query_total.counters IS 'what they said';
