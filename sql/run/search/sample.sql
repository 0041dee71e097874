-- Run by rag_search as the caller, read-only, with a kept plan: lexemes of those of the chunks at the TIDs $4 that the caller may see
-- and the filter lets pass; $5 and on are the values of the filter.
SELECT c.lexemes
  FROM {chunks} c
 WHERE c.ctid OPERATOR(pg_catalog.=) ANY ($4) AND {visible}
