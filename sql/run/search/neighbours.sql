-- Run by rag_answer as the caller, read-only, with a kept plan: the chunks $1 with the columns of search/search.sql, without
-- ranks and scores. They are neighbours of chunks that were found, see search/expand.sql.
SELECT c.chunk_id, NULL::int, NULL::int, 0::pg_catalog.float8, 0::pg_catalog.float8, NULL::pg_catalog.float8, c.content, c.section,
       p.ordinal, d.char_starts[p.ordinal], d.char_ends[p.ordinal], d.pages[p.ordinal], {bits}, 0::bigint, {keys}
  FROM pg_catalog.unnest($1::bigint[]) AS h (chunk_id)
  JOIN {chunks} c ON c.chunk_id OPERATOR(pg_catalog.=) h.chunk_id
  JOIN {documents} d ON {same_document}
 CROSS JOIN LATERAL (SELECT pg_catalog.array_position(d.chunk_ids, c.chunk_id) AS ordinal) p
 {join_bits}
 WHERE {visible} AND p.ordinal IS NOT NULL
