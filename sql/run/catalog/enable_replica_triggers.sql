-- Run as the owner of a source, or of a partition of it, whose collection heeds logical replication. Nothing but
-- TRUNCATE fires a statement trigger there.
ALTER TABLE ONLY {table} ENABLE REPLICA TRIGGER {replica}, ENABLE REPLICA TRIGGER {replica_update},
    ENABLE ALWAYS TRIGGER {truncate}
