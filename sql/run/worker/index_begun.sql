-- Run by index builders as the extension's owner, before CREATE INDEX CONCURRENTLY: the name ($2) of the index of a generation
-- ($1), by which a failed build's index is found.
UPDATE rag.generation SET index_being_built = $2::name WHERE generation_id = $1
