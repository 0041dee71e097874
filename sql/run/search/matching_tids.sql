-- Run by rag_search as the source's owner, read-only, with a kept plan, where the full-text index is not a GIN index whose pages can be
-- read: the TIDs of chunks that match $1, at most $2. Whether they are visible is for search/partials.sql to say.
SELECT c.ctid FROM {chunks} c WHERE c.lexemes OPERATOR(pg_catalog.@@) $1 LIMIT $2
