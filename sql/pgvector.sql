-- Which pgvector there is. Run by CREATE EXTENSION. Its files tell, not its objects: the library is what builds indexes.
CREATE FUNCTION rag.pgvector_warning() RETURNS text
    STABLE PARALLEL SAFE COST 1000 RETURN (SELECT pg_catalog.format('pgvector %s can damage vector indexes', x.default_version) FROM pg_catalog.pg_available_extensions() x WHERE x.name = 'vector' AND (pg_catalog.regexp_match(x.default_version, '^([0-9]+)[.]([0-9]+)[.]([0-9]+)'))::int[] < ARRAY[0, 8, 4]);
COMMENT ON FUNCTION rag.pgvector_warning() IS 'what is wrong with the installed pgvector: before 0.8.2 parallel builds of an HNSW index write beyond their memory, before 0.8.4 INSERT beside VACUUM can damage one; NULL where nothing is';

DO $$
BEGIN
    IF rag.pgvector_warning() IS NOT NULL THEN
        RAISE WARNING USING
            MESSAGE = rag.pgvector_warning(),
            HINT = 'Install pgvector 0.8.4 or newer, and run ALTER EXTENSION vector UPDATE. Until then indexes are built without parallel workers.';
    END IF;
END $$;
