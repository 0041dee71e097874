-- Part of search_lexical.sql where common words are also looked for in a sample, the chunks at the places $6 that
-- match $7, unless the index gave {count}.
    SELECT m.chunk_id, m.place, m.lexemes
      FROM matched m
     UNION ALL
    SELECT c.chunk_id, c.ctid AS place, c.lexemes
      FROM {chunks} c
     WHERE c.ctid OPERATOR(pg_catalog.=) ANY ($6)
       AND (SELECT pg_catalog.count(*) FROM matched) OPERATOR(pg_catalog.<) {count}
       AND {conditions}
