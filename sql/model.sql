-- Models as SQL sees them; run by the installer of the extension.
-- security_barrier: no function of a user's sees a row before the condition has let it through.
CREATE VIEW rag.model WITH (security_barrier, security_invoker) AS
    SELECT name, kind, fingerprint, dimensions, max_tokens, precision, size,
           is_current, is_default, is_preloaded, is_loaded, error, 'local' AS provider, true AS may_use
    FROM @extschema@.rag_models()
    UNION ALL
    SELECT m.name, m.kind, m.fingerprint, m.dimensions, m.max_tokens, NULL, NULL,
           true, m.name = pg_catalog.current_setting('rag_pg.default_model'), false, false, NULL, m.provider,
           pg_catalog.pg_has_role(c.relowner, 'USAGE')
             OR EXISTS (SELECT FROM rag.model_use u
                         WHERE u.model = m.name
                           AND (u.role = 0 OR pg_catalog.pg_has_role(u.role, 'USAGE')))
    FROM rag.remote_model m
    JOIN pg_catalog.pg_class c ON c.oid = 'rag.remote_model'::pg_catalog.regclass;
COMMENT ON VIEW rag.model IS 'builds of models in the models directory, and models that other servers run';
COMMENT ON COLUMN rag.model.name IS 'its name';
COMMENT ON COLUMN rag.model.kind IS 'embedder, reranker or generator';
COMMENT ON COLUMN rag.model.dimensions IS 'length of its vectors, or NULL';
COMMENT ON COLUMN rag.model.precision IS 'int8 or fp32; NULL of a remote model';
COMMENT ON COLUMN rag.model.fingerprint IS 'sha256 over everything that changes a result; of a remote model, over what is known of it here';
COMMENT ON COLUMN rag.model.max_tokens IS 'the window, special tokens included';
COMMENT ON COLUMN rag.model.size IS 'bytes on disk';
COMMENT ON COLUMN rag.model.is_current IS 'whether the bare name stands for this build';
COMMENT ON COLUMN rag.model.is_default IS 'whether it is used where no model is named';
COMMENT ON COLUMN rag.model.is_preloaded IS 'whether this session inherited it from the postmaster';
COMMENT ON COLUMN rag.model.is_loaded IS 'whether this session can run it without loading it first';
COMMENT ON COLUMN rag.model.error IS 'what is wrong with its files, or NULL';
COMMENT ON COLUMN rag.model.provider IS 'local, or whose format the server that runs it speaks';
COMMENT ON COLUMN rag.model.may_use IS 'whether the caller may use it';
GRANT SELECT ON rag.model TO PUBLIC;
