-- Run by rag_create_collection and rag_rebuild as the source's owner: what another extension's index reads.
ALTER TABLE {chunks} ADD COLUMN words text NOT NULL GENERATED ALWAYS AS (rag.lexeme_words(lexemes)) STORED
