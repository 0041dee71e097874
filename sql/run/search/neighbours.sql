-- Run by rag_answer as the caller, read-only, with a kept plan: the chunks $1 with the columns of search/fetch.sql. They are neighbours of chunks that were found, see search/expand.sql.
SELECT c.chunk_id,
       NULL::pg_catalog.float8 AS similarity,
       c.content,
       c.section,
       p.ordinal,
       d.char_starts[p.ordinal] AS char_start,
       d.char_ends[p.ordinal] AS char_end,
       d.pages[p.ordinal] AS page,
       {place} AS place,
       c.lexemes,
       {bits},
       {keys}
  FROM pg_catalog.unnest($1::bigint[]) AS h (chunk_id)
  JOIN {chunks} c ON c.chunk_id OPERATOR(pg_catalog.=) h.chunk_id
  JOIN {documents} d ON {same_document}
 CROSS JOIN LATERAL (SELECT pg_catalog.array_position(d.chunk_ids, c.chunk_id) AS ordinal) p
 {join_bits}
 WHERE {visible} AND p.ordinal IS NOT NULL
