-- Functions that return pgvector's type. Run by CREATE EXTENSION. The type is looked up in the schema where pgvector has it,
-- whatever else is called vector: in that schema the name is taken, and the schemas searched before and after are
-- pg_catalog and pg_temp.
DO $$
DECLARE
    schema text;
BEGIN
    SELECT pg_catalog.quote_ident(n.nspname) INTO schema
      FROM pg_catalog.pg_extension e
      JOIN pg_catalog.pg_depend d
        ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid AND d.deptype = 'e'
       AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
      JOIN pg_catalog.pg_type t ON t.oid = d.objid AND t.typname = 'vector'
      JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
     WHERE e.extname = 'vector';
    IF schema IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = 'extension "vector" has no type "vector"',
            HINT = 'Install pgvector 0.8.0 or newer: DROP EXTENSION vector, then CREATE EXTENSION vector.';
    END IF;
    PERFORM pg_catalog.set_config('search_path', pg_catalog.format('pg_catalog, %s, pg_temp', schema), true);
END $$;

-- The planner runs no function that returns a record: src/api/embed.rs says why that matters.
CREATE FUNCTION rag.embed(content text, model text, purpose text, OUT embedding vector, OUT fingerprint text) RETURNS record
    STABLE PARALLEL RESTRICTED COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_embed_wrapper';
COMMENT ON FUNCTION rag.embed(text, text, text) IS 'what rag_embed calls: the vector, and the fingerprint of the model';
CREATE FUNCTION rag.embed(contents text[], model text, purpose text, OUT embeddings vector[], OUT fingerprint text) RETURNS record
    STABLE PARALLEL RESTRICTED COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', 'rag_embed_array_wrapper';
COMMENT ON FUNCTION rag.embed(text[], text, text) IS 'what rag_embed calls: the vectors, and the fingerprint of the model';

CREATE FUNCTION @extschema@.rag_embed(content text, model text = NULL, purpose text = 'query') RETURNS vector
    STABLE PARALLEL RESTRICTED COST 10000 RETURN (rag.embed(content, model, purpose)).embedding;
COMMENT ON FUNCTION @extschema@.rag_embed(text, text, text) IS 'vector of a text';
CREATE FUNCTION @extschema@.rag_embed(contents text[], model text = NULL, purpose text = 'document') RETURNS vector[]
    STABLE PARALLEL RESTRICTED COST 100000 RETURN (rag.embed(contents, model, purpose)).embeddings;
COMMENT ON FUNCTION @extschema@.rag_embed(text[], text, text) IS 'vectors of many texts, in their order';

SET LOCAL search_path = pg_catalog, pg_temp;
