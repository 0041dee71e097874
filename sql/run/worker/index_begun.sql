-- Run by worker::builder as the extension's owner, before a vector index is built that outlasts a failure: the name ($2) by which
-- a generation ($1) knows what is left of it.
UPDATE rag.generation SET index_being_built = $2::name WHERE generation_id = $1
