-- Run by workers as the extension's owner: pauses a collection ($1) until an administrator acts. No document is charged. $2 is
-- readable by every role, $3 by the source's owner: it may hold words of documents or of a provider. $4 SQLSTATE. Returns the
-- collection's name.
WITH progress AS (
    UPDATE rag.progress p SET paused = $3, sqlstate = $4
      FROM rag.generation g
     WHERE g.generation_id = p.generation_id AND g.collection_id = $1
)
UPDATE rag.collection SET paused = $2 WHERE collection_id = $1 RETURNING name
