-- Run by workers as the extension's owner before changes become jobs: rag_prune waits for the locks, so that no job of a pruned
-- generation is left. A generation that is being pruned is skipped. $1 collections, or NULL for all.
SELECT generation_id FROM rag.generation
 WHERE state <> 'retired' AND ($1::int[] IS NULL OR collection_id = ANY ($1::int[]))
 ORDER BY generation_id FOR KEY SHARE SKIP LOCKED
