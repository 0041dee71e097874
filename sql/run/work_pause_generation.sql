-- Run by pg::worker as the extension's owner: nothing can be indexed into this generation ($1) until
-- someone acts; the others of its collection go on. No document is charged.
UPDATE rag.generation SET paused = $2 WHERE generation_id = $1
