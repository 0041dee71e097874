-- Models as SQL sees them; run by the installer of the extension.
CREATE VIEW rag.model AS
    SELECT name, kind, fingerprint, dimensions, max_tokens, precision, size,
           is_current, is_default, is_preloaded, is_loaded, error
    FROM @extschema@.rag_models();
COMMENT ON VIEW rag.model IS 'builds of models in the models directory';
COMMENT ON COLUMN rag.model.fingerprint IS 'sha256 over everything that changes a result';
COMMENT ON COLUMN rag.model.max_tokens IS 'the window, special tokens included';
COMMENT ON COLUMN rag.model.size IS 'bytes on disk';
COMMENT ON COLUMN rag.model.is_current IS 'whether the bare name stands for this build';
COMMENT ON COLUMN rag.model.is_default IS 'whether it is used where no model is named';
COMMENT ON COLUMN rag.model.is_preloaded IS 'whether this session inherited it from the postmaster';
COMMENT ON COLUMN rag.model.is_loaded IS 'whether this session can run it without loading it first';
COMMENT ON COLUMN rag.model.error IS 'what is wrong with its files, or NULL';
GRANT SELECT ON rag.model TO PUBLIC;

COMMENT ON FUNCTION @extschema@.rag_models() IS
    'builds of models in the models directory; behind the view rag.model';
COMMENT ON FUNCTION @extschema@.rag_embed(text, text, text) IS
    'vector of a text by a local model';
COMMENT ON FUNCTION @extschema@.rag_embed(text[], text, text) IS
    'vectors of many texts, in their order';
