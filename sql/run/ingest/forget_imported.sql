-- Run by workers as the extension's owner when the first load of a generation ($1) is in: what it has not taken matches no text.
DELETE FROM rag.imported_embedding WHERE generation_id = $1
