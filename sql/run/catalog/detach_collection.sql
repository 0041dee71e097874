-- Run by rag_detach_collection as the extension's owner, one statement at a time, $1 = collection_id. One that a person paused stays so.
DELETE FROM rag.change WHERE collection_id = $1;
DELETE FROM rag.source_partition WHERE collection_id = $1;
UPDATE rag.collection
   SET detached_at = pg_catalog.now(), view = NULL, paused = CASE WHEN paused LIKE 'paused by %' THEN paused ELSE 'detached' END
 WHERE collection_id = $1
