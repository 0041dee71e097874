-- First statements of CREATE EXTENSION, run by its installer.
CREATE SCHEMA rag;
COMMENT ON SCHEMA rag IS 'rag_pg: catalog, queue and views';
GRANT USAGE ON SCHEMA rag TO PUBLIC;
