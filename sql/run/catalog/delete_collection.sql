-- Run by rag_drop_collection as the extension's owner, one statement at a time, $1 = collection_id.
DELETE FROM rag.change WHERE collection_id = $1;
DELETE FROM rag.source_partition WHERE collection_id = $1;
DELETE FROM rag.logged_query WHERE collection_id = $1;
DELETE FROM rag.call_total WHERE collection_id = $1;
DELETE FROM rag.query_total WHERE collection_id = $1;
DELETE FROM rag.distributed_collection WHERE collection_id = $1;
DELETE FROM rag.collection WHERE collection_id = $1
