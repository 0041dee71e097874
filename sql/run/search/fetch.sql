-- Run by rag_search as the caller, read-only, with a kept plan: of the chunks $4, best first, the first $2 that the caller may see
-- and the filter lets pass. $1 is the question's vector, $5 and on are the values of the filter.
WITH found AS MATERIALIZED (
    SELECT a.place, c.chunk_id, 1 OPERATOR(pg_catalog.-) ({distance}) AS similarity, c.content, c.section, c.lexemes, {keys}
      FROM pg_catalog.unnest($4) WITH ORDINALITY AS a (chunk_id, place)
      JOIN {chunks} c ON c.chunk_id OPERATOR(pg_catalog.=) a.chunk_id
     WHERE {visible}
     ORDER BY a.place
     LIMIT $2
)
SELECT f.chunk_id,
       f.similarity,
       f.content,
       f.section,
       COALESCE(p.ordinal, 0) AS ordinal,
       COALESCE(d.char_starts[p.ordinal], 0) AS char_start,
       COALESCE(d.char_ends[p.ordinal], 0) AS char_end,
       d.pages[p.ordinal] AS page,
       {place} AS place,
       f.lexemes,
       {bits},
       {found_keys}
  FROM found f
  JOIN {documents} d ON {same_document}
 CROSS JOIN LATERAL (SELECT pg_catalog.array_position(d.chunk_ids, f.chunk_id) AS ordinal) p
 {join_bits}
 ORDER BY f.place
