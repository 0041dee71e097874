-- Run by rag_feedback as the caller, who sees what a search would show: the document of chunk $1.
SELECT {keys} FROM {chunks} c WHERE c.chunk_id OPERATOR(pg_catalog.=) $1 AND {visible}
