-- Run by catalog::lexical::care as the source's owner: lexemes of the oldest and the newest chunks.
(SELECT c.chunk_id, pg_catalog.tsvector_to_array(c.lexemes) FROM {chunks} c ORDER BY c.chunk_id LIMIT 20)
UNION
(SELECT c.chunk_id, pg_catalog.tsvector_to_array(c.lexemes) FROM {chunks} c ORDER BY c.chunk_id DESC LIMIT 20)
