-- Run once, in the database that the container makes.
CREATE EXTENSION rag_pg CASCADE;
