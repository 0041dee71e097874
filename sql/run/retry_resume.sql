-- Run by rag_retry as the extension's owner.
UPDATE rag.collection SET paused = NULL WHERE collection_id = $1 AND paused IS NOT NULL
