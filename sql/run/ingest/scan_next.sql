-- Run by workers as the extension's owner: stores how far a scan got. $2 side, or NULL if both are complete; $3 last key
-- compared. If another scan was requested meanwhile, it starts over.
WITH finished AS (
    DELETE FROM rag.scan WHERE generation_id = $1 AND $2::text IS NULL AND NOT is_repeated
    RETURNING generation_id
)
UPDATE rag.scan
   SET side = COALESCE($2::text, 'source'),
       after_key = $3,
       is_repeated = is_repeated AND $2::text IS NOT NULL
 WHERE generation_id = $1 AND NOT EXISTS (SELECT FROM finished)
