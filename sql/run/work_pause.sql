-- Run by pg::worker as the extension's owner: nothing of this collection ($1) can be indexed until
-- someone acts. No document is charged.
UPDATE rag.collection SET paused = $2 WHERE collection_id = $1 RETURNING name
