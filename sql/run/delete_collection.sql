-- Run by rag_drop_collection as the extension's owner, one statement at a time, $1 = collection_id.
DELETE FROM rag.job j USING rag.generation g
 WHERE g.generation_id = j.generation_id AND g.collection_id = $1;
DELETE FROM rag.scan s USING rag.generation g
 WHERE g.generation_id = s.generation_id AND g.collection_id = $1;
DELETE FROM rag.progress p USING rag.generation g
 WHERE g.generation_id = p.generation_id AND g.collection_id = $1;
DELETE FROM rag.change WHERE collection_id = $1;
DELETE FROM rag.logged_query WHERE collection_id = $1;
DELETE FROM rag.generation WHERE collection_id = $1;
DELETE FROM rag.collection WHERE collection_id = $1
