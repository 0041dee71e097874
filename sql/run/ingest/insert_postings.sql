-- Run by workers and rag_verify as the source's owner: parts of posting lists of a segment ($1).
INSERT INTO {postings} (segment, part, lexeme, data)
SELECT $1, p.part, p.lexeme, p.data
  FROM ROWS FROM (pg_catalog.unnest($2::int[]), pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::bytea[]))
       AS p (part, lexeme, data)
