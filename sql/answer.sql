-- What rag_answer is; run by the installer of the extension.
COMMENT ON FUNCTION @extschema@.rag_answer(text, text[], text) IS
    'sentences of passages that answer a question, with citations';
