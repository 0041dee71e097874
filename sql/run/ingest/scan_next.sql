-- Run by ingest::scan as the extension's owner: remembers how far a comparison came. $2 side, or NULL when
-- both are done; $3 last key compared. A comparison asked for meanwhile starts over.
WITH finished AS (
    DELETE FROM rag.scan WHERE generation_id = $1 AND $2::text IS NULL AND NOT is_repeated
    RETURNING generation_id
)
UPDATE rag.scan
   SET side = COALESCE($2::text, 'source'),
       after_key = $3,
       is_repeated = is_repeated AND $2::text IS NOT NULL
 WHERE generation_id = $1 AND NOT EXISTS (SELECT FROM finished)
