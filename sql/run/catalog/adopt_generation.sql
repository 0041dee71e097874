-- Run by rag_attach_collection as the extension's owner: the generation of an adopted collection ($1). It counts as loaded if it has all
-- the index that it is to have ($16).
WITH generation AS (
    INSERT INTO rag.generation
           (collection_id, state, model, fingerprint, dimensions, max_tokens, overlap_tokens, format, token_bits, index_method,
            documents, chunks, bits, lexical, storage_format, segments, postings, analysis, loaded_at)
    VALUES ($1, 'active', $2, $3, $4, $5, $6, $7, $11 IS NOT NULL, $8, $9::oid, $10::oid, $11::oid, $12, $13, $14::oid, $15::oid, $17,
            CASE WHEN $16 THEN pg_catalog.now() END)
    RETURNING generation_id
)
INSERT INTO rag.progress (generation_id) SELECT generation_id FROM generation
