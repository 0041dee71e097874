-- Run by rag_create_collection as the extension's owner.
INSERT INTO rag.collection
       (name, source, content_column, title_column, key_columns, text_search_config,
        column_numbers, home, replicated, content_kind, file_name_column, media_type_column, keep_text, ocr)
SELECT $1, $2, $3::name, $4::name, $5::name[], $6,
       ARRAY (SELECT coalesce(a.attnum, 0)
                FROM pg_catalog.unnest(ARRAY [$3, $4, $9, $10] || $5) WITH ORDINALITY AS c (name, position)
                LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = $2 AND a.attname = c.name::name
               ORDER BY c.position),
       rag.home($2),
       $7, $8, $9::name, $10::name, $11, $12
RETURNING collection_id
