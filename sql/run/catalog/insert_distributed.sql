-- Run by rag_create_collection as the extension's owner. A row whose table is gone makes room for another of its name.
WITH gone AS (
    DELETE FROM rag.distributed_collection d
     WHERE d.name = $1 AND NOT EXISTS (SELECT FROM pg_catalog.pg_class r WHERE r.oid = d.source)
)
INSERT INTO rag.distributed_collection
       (name, source, content_column, model, fingerprint, dimensions, token_bits, max_tokens, overlap_tokens, format,
        text_search_config, analysis, key_columns, title_column, content_kind)
VALUES ($1, $2, $3::name, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::name[], $14::name, $15)
RETURNING collection_id
