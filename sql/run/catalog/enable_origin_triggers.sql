-- Run as the owner of a source, or of a partition of it, whose collection does not heed logical replication any more.
ALTER TABLE ONLY {table} ENABLE TRIGGER {truncate}
