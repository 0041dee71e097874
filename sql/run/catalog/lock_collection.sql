-- Run by catalog::generation as the extension's owner: one change of a collection's generations at a time.
SELECT collection_id FROM rag.collection WHERE collection_id = $1 FOR NO KEY UPDATE
