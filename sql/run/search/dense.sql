-- Part of the statement that rag_search runs as the caller: one piece of the dense leg.
    SELECT pg_catalog.string_agg(rag.search_hit($2, x.chunk_id, x.place, x.lexemes), ''::pg_catalog.bytea
                                 ORDER BY x.distance, x.chunk_id) AS hits
      FROM (SELECT c.chunk_id, c.ctid AS place, c.lexemes, {distance} AS distance
              FROM {chunks} c
             WHERE {conditions}
             ORDER BY distance
             LIMIT {count}) x
