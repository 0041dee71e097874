-- Run by rag_import_embeddings as the extension's owner: vectors ($3) of texts ($2, hashes) for a generation ($1). Of a text that comes twice the
-- first counts.
INSERT INTO rag.imported_embedding (generation_id, hash, embedding)
SELECT $1, n.hash, n.embedding
  FROM ROWS FROM (pg_catalog.unnest($2::bytea[]), pg_catalog.unnest($3::bytea[])) AS n (hash, embedding)
    ON CONFLICT DO NOTHING
