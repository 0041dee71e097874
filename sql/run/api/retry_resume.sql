-- Run by rag_retry and rag_resume as the extension's owner. $2 generation, or NULL for the collection
-- with all of them.
WITH collection AS (
    UPDATE rag.collection SET paused = NULL
     WHERE collection_id = $1 AND paused IS NOT NULL AND $2::int IS NULL
), progress AS (
    UPDATE rag.progress p SET paused = NULL
      FROM rag.generation g
     WHERE g.generation_id = p.generation_id AND g.collection_id = $1 AND p.paused IS NOT NULL
       AND ($2::int IS NULL OR g.generation_id = $2)
)
UPDATE rag.generation SET paused = NULL
 WHERE collection_id = $1 AND paused IS NOT NULL AND ($2::int IS NULL OR generation_id = $2)
