-- Part of the statement that rag_search runs as the caller: the lexical leg where another extension's index found
-- its chunks, whose numbers $5 has, best first.
    SELECT pg_catalog.string_agg(rag.search_hit($2, c.chunk_id, c.ctid, c.lexemes), ''::pg_catalog.bytea ORDER BY r.rank) AS hits,
           pg_catalog.count(*) AS found
      FROM pg_catalog.unnest($5) WITH ORDINALITY AS r (chunk_id, rank)
      JOIN {chunks} c ON c.chunk_id OPERATOR(pg_catalog.=) r.chunk_id
     WHERE {conditions}
