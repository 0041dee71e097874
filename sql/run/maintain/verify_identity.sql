-- Run by rag_verify as the extension's owner: stores this database's identity for a restored or cloned collection. Its
-- columns are found by name, since a restored table may number them anew.
UPDATE rag.collection c
   SET home = rag.home(c.source),
       column_numbers = ARRAY (
           SELECT coalesce(a.attnum, 0)
             FROM pg_catalog.unnest(ARRAY [c.content_column, c.title_column, c.file_name_column, c.media_type_column]
                                    || c.key_columns)
                  WITH ORDINALITY AS k (name, position)
             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.source AND a.attname = k.name
            ORDER BY k.position)
 WHERE c.collection_id = $1
