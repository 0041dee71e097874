-- Run by rag_follow_ddl as the extension's owner: takes over new names of columns.
UPDATE rag.collection c
   SET content_column = n.names[1], title_column = n.names[2], file_name_column = n.names[3], media_type_column = n.names[4],
       key_columns = n.names[5:]
  FROM (SELECT pg_catalog.array_agg(a.attname ORDER BY k.position) AS names
          FROM rag.collection f
         CROSS JOIN LATERAL pg_catalog.unnest(f.column_numbers) WITH ORDINALITY AS k (number, position)
          LEFT JOIN pg_catalog.pg_attribute a
            ON a.attrelid = f.source AND a.attnum = k.number AND k.number > 0 AND NOT a.attisdropped
         WHERE f.collection_id = $1) n
 WHERE c.collection_id = $1
   AND ARRAY [c.content_column, c.title_column, c.file_name_column, c.media_type_column] || c.key_columns IS DISTINCT FROM n.names
