-- Run by rag_feedback as the caller: the document of chunk $1, if a search could find it.
SELECT {keys} FROM {chunks} c WHERE c.chunk_id OPERATOR(pg_catalog.=) $1 AND {visible}
