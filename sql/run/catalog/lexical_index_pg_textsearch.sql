-- Run as the source's owner when a generation is created, and by rag_verify. The words are lexemes already.
CREATE INDEX {index} ON {chunks} USING bm25 (words) WITH (text_config = 'pg_catalog.simple', k1 = 0.9, b = 0.4)
