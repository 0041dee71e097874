-- Run by pg::worker as the extension's owner, in the transaction that builds the index.
UPDATE rag.generation SET loaded_at = pg_catalog.clock_timestamp() WHERE generation_id = $1
