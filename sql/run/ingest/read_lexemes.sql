-- Run by rag_verify as the source's owner, through a cursor.
SELECT c.chunk_id, c.lexemes FROM {chunks} c
