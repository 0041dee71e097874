-- Part of the statement that rag_search runs as the caller: the dense leg.
    SELECT pg_catalog.string_agg(rag.search_hit($2, x.chunk_id, x.tid, x.lexemes), ''::pg_catalog.bytea
                                 ORDER BY x.distance, x.chunk_id) AS partials
      FROM (SELECT c.chunk_id, c.ctid AS tid, c.lexemes, {distance} AS distance
              FROM {chunks} c
             WHERE {conditions}
             ORDER BY distance
             LIMIT {count}) x
