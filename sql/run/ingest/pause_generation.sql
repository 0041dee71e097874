-- Run by workers as the extension's owner: pauses a generation ($1) until an administrator acts; the other generations of its
-- collection go on. No document is charged. $2 to $4 as in ingest/pause.sql.
WITH progress AS (
    UPDATE rag.progress SET paused = $3, sqlstate = $4 WHERE generation_id = $1
)
UPDATE rag.generation g SET paused = $2
  FROM rag.collection c
 WHERE g.generation_id = $1 AND c.collection_id = g.collection_id
RETURNING c.name
