-- Run by ingest::queue::pause as the extension's owner: nothing can be indexed into this generation ($1) until
-- someone acts; the others of its collection go on. No document is charged. $2 to $4 as in ingest/pause.sql.
WITH progress AS (
    UPDATE rag.progress SET paused = $3, sqlstate = $4 WHERE generation_id = $1
)
UPDATE rag.generation g SET paused = $2
  FROM rag.collection c
 WHERE g.generation_id = $1 AND c.collection_id = g.collection_id
RETURNING c.name
