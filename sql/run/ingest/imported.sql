-- Run by workers and rag_import_embeddings as the extension's owner: those of these texts ($2, hashes) whose vectors were imported for a
-- generation ($1).
SELECT i.hash, i.embedding FROM rag.imported_embedding i WHERE i.generation_id = $1 AND i.hash = ANY ($2::bytea[])
