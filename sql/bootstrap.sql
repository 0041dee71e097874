-- First statements of CREATE EXTENSION, run by its installer. From here on the script resolves names in pg_catalog alone:
-- others may own objects in the extension's schema, and an operator that fits better than pg_catalog's would end up in views.
-- Every object of the extension's schema is named with @extschema@.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF pg_catalog.to_regnamespace('rag') IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'duplicate_schema',
            MESSAGE = 'schema "rag" already exists',
            DETAIL = 'The extension creates a schema of this name for its catalog and uses none that is there already.',
            HINT = 'Rename it with ALTER SCHEMA rag RENAME TO, or drop it if it is empty, and run CREATE EXTENSION again.';
    END IF;
END $$;

CREATE SCHEMA rag;
COMMENT ON SCHEMA rag IS 'rag_pg: catalog, queue and views';
GRANT USAGE ON SCHEMA rag TO PUBLIC;
