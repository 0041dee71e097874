-- Run by rag_verify as the extension's owner: $2 documents and $3 chunks more than was known.
INSERT INTO rag.progress AS p (generation_id, indexed, chunks) VALUES ($1, $2, $3)
    ON CONFLICT (generation_id) DO UPDATE
   SET indexed = p.indexed + EXCLUDED.indexed, chunks = p.chunks + EXCLUDED.chunks
