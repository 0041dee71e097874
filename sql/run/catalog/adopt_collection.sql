-- Run by rag_attach_collection as the extension's owner: a collection that only its tables know of, detached at first.
-- No row where another session was faster with the name.
INSERT INTO rag.collection
       (name, source, content_column, title_column, file_name_column, media_type_column, key_columns, text_search_config,
        column_numbers, home, replicated, content_kind, keep_text, ocr, detached_at)
VALUES ($1, $2, $3::name, $4::name, $5::name, $6::name, '{}', $7, '{}', '', $8, $9, $10, $11, pg_catalog.now())
ON CONFLICT (name) DO NOTHING
RETURNING collection_id
