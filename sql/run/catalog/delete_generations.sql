-- Run by rag_prune and rag_drop_collection as the extension's owner, one statement at a time, $1 the generations, whose work is
-- deleted already.
DELETE FROM rag.progress WHERE generation_id = ANY ($1);
DELETE FROM rag.generation WHERE generation_id = ANY ($1)
