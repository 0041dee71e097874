-- Run as the owner of a source that is a plain table. Inserts and deletes come as whole statements, so
-- that COPY of a million rows stays cheap; inserted files come row by row, since a table of them would hold each a second time, and so does
-- all of a partition, since a statement on the partitioned table fires no statement trigger of it.
CREATE TRIGGER {insert} AFTER INSERT ON {table} {new_rows} EXECUTE FUNCTION {ingest}({collection});
CREATE TRIGGER {delete} AFTER DELETE ON {table} {old_rows} EXECUTE FUNCTION {ingest}({collection});
CREATE TRIGGER {truncate} AFTER TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {ingest}({collection});
