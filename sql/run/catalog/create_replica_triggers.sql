-- Run as the owner of a source whose collection heeds logical replication, which fires row triggers alone, and of
-- those only such as are enabled for it. Partitions inherit them. Whatever else writes fires the other triggers.
CREATE TRIGGER {replica} AFTER INSERT OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION {ingest}({collection});
CREATE TRIGGER {replica_update} AFTER UPDATE ON {table}
    FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION {ingest}({collection});
