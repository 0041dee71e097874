-- Run by rag_search as the source's owner, read-only, with a kept plan: the chunks at the TIDs $1, which are random. Which of them are
-- visible is for search/check.sql to say.
SELECT c.chunk_id FROM {chunks} c WHERE c.ctid = ANY ($1)
