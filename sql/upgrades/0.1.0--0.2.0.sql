ALTER TABLE rag.collection ADD COLUMN detached_at timestamptz;
DROP EVENT TRIGGER rag_pg_before_drop;
