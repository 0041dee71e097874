-- Run by rag_search as the caller, read-only, with a kept plan: the chunks $1 with up to $2 chunks before and behind
-- each in its document. A caller who may see a chunk may see its neighbours, which are of the same source row; a
-- filter's conditions on chunks are not asked of them.
SELECT h.result, n.chunk_id, o.ordinal::int AS ordinal, d.char_starts[o.ordinal] AS char_start, d.char_ends[o.ordinal] AS char_end, n.content
  FROM pg_catalog.unnest($1::bigint[]) WITH ORDINALITY AS h (chunk_id, result)
  JOIN {chunks} c ON c.chunk_id OPERATOR(pg_catalog.=) h.chunk_id
  JOIN {documents} d ON {same_document}
 CROSS JOIN LATERAL (SELECT pg_catalog.array_position(d.chunk_ids, c.chunk_id) AS ordinal) p
 CROSS JOIN LATERAL pg_catalog.generate_series(
       GREATEST(p.ordinal OPERATOR(pg_catalog.-) $2, 1),
       LEAST(p.ordinal OPERATOR(pg_catalog.+) $2, pg_catalog.cardinality(d.chunk_ids))) AS o (ordinal)
  JOIN {chunks} n ON n.chunk_id OPERATOR(pg_catalog.=) d.chunk_ids[o.ordinal]
 WHERE {visible}
 ORDER BY h.result, o.ordinal
