-- Run by rag_create_collection as the extension's owner.
INSERT INTO rag.collection
       (name, source, content_column, title_column, key_columns, text_search_config)
VALUES ($1, $2, $3::name, $4::name, $5::name[], $6)
RETURNING collection_id
