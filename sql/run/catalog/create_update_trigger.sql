-- Run as the owner of a source that is a plain table. An update of other columns fires nothing.
CREATE {or_replace} TRIGGER {update} AFTER UPDATE {of} ON {table}
    FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION {ingest}({collection})
