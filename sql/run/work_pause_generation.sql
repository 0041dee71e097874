-- Run by pg::worker as the extension's owner: nothing can be indexed into this generation ($1) until
-- someone acts; the others of its collection go on. No document is charged. $2 to $4 as in work_pause.sql.
WITH generation AS (
    UPDATE rag.generation SET paused = $2 WHERE generation_id = $1
)
UPDATE rag.progress SET paused = $3, sqlstate = $4 WHERE generation_id = $1
