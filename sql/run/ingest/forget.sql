-- Run by ingest as the extension's owner: jobs ($1) whose keys are no texts of their types any more go, and the source is
-- compared instead.
WITH forgotten AS (
    DELETE FROM rag.job WHERE token = ANY ($1) RETURNING generation_id
)
INSERT INTO rag.change (collection_id, keys)
SELECT DISTINCT g.collection_id, NULL::text[] FROM forgotten JOIN rag.generation g USING (generation_id)
