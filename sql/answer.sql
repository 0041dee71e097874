-- What rag_answer is; run by the installer of the extension.
COMMENT ON FUNCTION @extschema@.rag_answer(text, text[], text, text) IS
    'an answer to a question from passages, with quotes and their places';
