-- Run by ingest::queue::changes as the extension's owner before it turns changes into jobs: whoever prunes one of
-- these generations waits for the jobs, so that none are left over. One that is being pruned is not among
-- them. $1 collections, or NULL for all.
SELECT generation_id FROM rag.generation
 WHERE state <> 'retired' AND ($1::int[] IS NULL OR collection_id = ANY ($1::int[]))
 ORDER BY generation_id FOR KEY SHARE SKIP LOCKED
