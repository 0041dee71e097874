-- Run by ALTER EXTENSION rag_pg UPDATE before what scripts/upgrade.py writes: tables that changed, and what is gone.
ALTER TABLE rag.collection ADD COLUMN detached_at timestamptz;
DROP EVENT TRIGGER rag_pg_before_drop;
