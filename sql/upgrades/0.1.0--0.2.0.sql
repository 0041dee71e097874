ALTER TABLE rag.collection ADD COLUMN detached_at timestamptz;
