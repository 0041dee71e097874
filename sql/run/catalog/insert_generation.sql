-- Run as the extension's owner, once the generation's tables exist.
INSERT INTO rag.generation
       (generation_id, collection_id, state, model, fingerprint, dimensions, max_tokens,
        overlap_tokens, format, token_bits, index_method, documents, chunks, bits, switches, lexical,
        storage_format, segments, postings, analysis)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $13 IS NOT NULL, $10, $11::oid, $12::oid, $13::oid, $14, $15, $16, $17::oid, $18::oid, $19)
