-- Run as the owner, on a partitioned source and each of its partitions: a statement fires the
-- triggers of the table it names alone. An update that moves a row to another partition fires no row
-- trigger for updates, so updates come as whole statements too.
CREATE TRIGGER {insert} AFTER INSERT ON {table} REFERENCING NEW TABLE AS rag_pg_new
    FOR EACH STATEMENT EXECUTE FUNCTION {ingest}({collection});
CREATE TRIGGER {delete} AFTER DELETE ON {table} REFERENCING OLD TABLE AS rag_pg_old
    FOR EACH STATEMENT EXECUTE FUNCTION {ingest}({collection});
CREATE TRIGGER {update} AFTER UPDATE ON {table} REFERENCING OLD TABLE AS rag_pg_old NEW TABLE AS rag_pg_new
    FOR EACH STATEMENT EXECUTE FUNCTION {ingest}({collection});
CREATE TRIGGER {truncate} AFTER TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {ingest}({collection});
