-- Run by rag_attach_collection as the extension's owner: columns of a table ($2) that take the place of a collection's ($1): content, title,
-- file name and media type. The one that was named ($3, $4), else the one of that name, else the one of that number, which was renamed.
SELECT COALESCE(
           k.given,
           (SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = $2 AND a.attname = k.name::name AND a.attnum > 0 AND NOT a.attisdropped),
           (SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = $2 AND c.source::oid = $2 AND a.attnum = k.number AND a.attnum > 0 AND NOT a.attisdropped),
           k.name) AS name
  FROM rag.collection c
 CROSS JOIN LATERAL (VALUES (1, $3, c.content_column::text, c.column_numbers[1]), (2, $4, c.title_column::text, c.column_numbers[2]),
                            (3, NULL, c.file_name_column::text, c.column_numbers[3]),
                            (4, NULL, c.media_type_column::text, c.column_numbers[4])) AS k (position, given, name, number)
 WHERE c.collection_id = $1
 ORDER BY k.position
