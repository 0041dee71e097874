-- Run by rag_verify as the extension's owner: whether a comparison of the whole source waits or is under way.
-- $1 generation, $2 collection.
SELECT EXISTS (SELECT FROM rag.scan s WHERE s.generation_id OPERATOR(pg_catalog.=) $1)
    OR EXISTS (SELECT FROM rag.change c
                WHERE c.collection_id OPERATOR(pg_catalog.=) $2 AND c.keys IS NULL)
