-- Run by rag_search as the caller, read-only, with a kept plan; everything is qualified because the
-- caller's search path stays: it belongs to the caller's policies.
-- $1 the question's vector, $2 the encoded request (rag::search::partial_results), $3 the encoded partial results of the lexical leg,
-- $4 the tsquery that every chunk must match, $5 of no use here, $6 the allow-list of search/allow_list.sql,
-- $7 and on the values of the filter. What a statement does not refer to is NULL.
-- The dense leg encodes partial results, rag.search_fuse ranks both legs and keeps the best, and those that the caller may see
-- are returned. The last column before the keys counts those kept.
WITH dense AS MATERIALIZED (
{dense}
), kept AS MATERIALIZED (
    SELECT f.chunk_id, f.place, f.dense_rank, f.lexical_rank, f.rrf, f.bm25
      FROM dense
     CROSS JOIN LATERAL rag.search_fuse($2, dense.partials, $3) f
), found AS MATERIALIZED (
    SELECT k.chunk_id, k.dense_rank, k.lexical_rank, k.rrf, k.bm25,
           1 OPERATOR(pg_catalog.-) ({distance}) AS similarity,
           c.content, c.section, {keys}
      FROM kept k
      JOIN {chunks} c ON c.ctid OPERATOR(pg_catalog.=) k.place
     WHERE {visible}
     ORDER BY k.rrf DESC, k.chunk_id
     LIMIT {limit}
)
SELECT f.chunk_id,
       f.dense_rank,
       f.lexical_rank,
       f.rrf,
       f.bm25,
       f.similarity,
       f.content,
       f.section,
       COALESCE(p.ordinal, 0) AS ordinal,
       COALESCE(d.char_starts[p.ordinal], 0) AS char_start,
       COALESCE(d.char_ends[p.ordinal], 0) AS char_end,
       d.pages[p.ordinal] AS page,
       {bits},
       (SELECT pg_catalog.count(*) FROM kept) AS fused,
       {found_keys}
  FROM found f
  JOIN {documents} d ON {same_document}
 CROSS JOIN LATERAL (SELECT pg_catalog.array_position(d.chunk_ids, f.chunk_id) AS ordinal) p
 {join_bits}
 ORDER BY f.rrf DESC, f.chunk_id
