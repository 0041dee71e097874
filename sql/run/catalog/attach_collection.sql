-- Run by rag_attach_collection as the extension's owner: a detached collection ($1) follows a table ($2) again, by these columns.
UPDATE rag.collection
   SET source = $2, content_column = $3::name, title_column = $4::name, file_name_column = $5::name, media_type_column = $6::name,
       key_columns = $7::name[], detached_at = NULL, paused = CASE WHEN paused LIKE 'paused by %' THEN paused END
 WHERE collection_id = $1
