-- Run by rag_pause as the extension's owner: $1 collection, $3 reason. $2 generation, or NULL for all of
-- the collection. What is paused already keeps its reason.
WITH collection AS (
    UPDATE rag.collection SET paused = $3
     WHERE collection_id = $1 AND paused IS NULL AND $2::int IS NULL
)
UPDATE rag.generation SET paused = $3 WHERE collection_id = $1 AND paused IS NULL AND generation_id = $2
