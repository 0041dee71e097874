-- Run by workers as the extension's owner when the index is built. $1 generation; $2 chunks and $3 bytes of the index, NULL
-- if the generation has none.
UPDATE rag.generation
   SET loaded_at = COALESCE(loaded_at, pg_catalog.clock_timestamp()), index_wanted = false,
       index_rows = $2, index_size = $3, index_being_built = NULL
 WHERE generation_id = $1
