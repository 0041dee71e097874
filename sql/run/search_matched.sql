-- Part of search_lexical.sql: what the index gives.
    SELECT c.chunk_id, c.ctid AS place, c.lexemes
      FROM {chunks} c
     WHERE {conditions}
     LIMIT {count}
