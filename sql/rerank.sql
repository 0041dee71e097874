-- What rag_rerank is; run by the installer of the extension.
COMMENT ON FUNCTION @extschema@.rag_rerank(text, text[], int, text) IS
    'documents in the order in which they answer a query, with scores';
