-- Run by rag_search as the source's owner, read-only, with a kept plan, and only for callers to whom no row
-- security applies: the chunks that score best for the words $1.
SELECT c.chunk_id
  FROM {chunks} c
 ORDER BY c.words OPERATOR({schema}.<@>) {schema}.to_bm25query($1, {index})
 LIMIT {count}
