-- Run as the owner of a source that is a plain table. An update of other columns fires nothing.
CREATE OR REPLACE TRIGGER {update} AFTER UPDATE {of} ON {table}
    FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION {ingest}({collection})
