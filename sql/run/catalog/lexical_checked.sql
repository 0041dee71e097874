-- Run by catalog::lexical::care as the extension's owner.
UPDATE rag.generation SET lexical_checked_at = pg_catalog.clock_timestamp() WHERE generation_id = $1
