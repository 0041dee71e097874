-- Everything else builds on this: the extension installs by itself, brings pgvector along, and its
-- version is the package's. It runs first whichever tests are chosen.
SET client_min_messages = error; -- pgvector's version may call for a WARNING
CREATE EXTENSION rag_pg CASCADE;
RESET client_min_messages;
SELECT extname, extrelocatable, extnamespace::regnamespace FROM pg_extension WHERE extname IN ('rag_pg', 'vector') ORDER BY 1;
SELECT extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'rag_pg') AS is_current
  FROM pg_extension WHERE extname = 'rag_pg';
SELECT nspname, obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspname = 'rag';
