-- Run as the source's owner when a generation is created, and by rag_verify. The words are lexemes already.
CREATE INDEX {index} ON {chunks} USING bm25 (chunk_id, (words::pdb.whitespace)) WITH (key_field = 'chunk_id')
