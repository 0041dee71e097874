-- Run by workers as the source's owner: the next page of source rows, which of them have no documents row, and which have one
-- made from another text. format() writes a key with its type's output function. OFFSET 0 makes it one index probe for each
-- row: a join would read all documents for each page.
SELECT ARRAY[{source_texts}],
       d.source_hash IS NULL,
       d.source_hash IS NOT NULL
           AND d.source_hash OPERATOR(pg_catalog.<>) {source_hash}
  FROM (SELECT {source_columns} FROM {source} s WHERE {after} ORDER BY {source_keys} LIMIT {limit}) s
  LEFT JOIN LATERAL (SELECT d.source_hash FROM {documents} d WHERE {equal} OFFSET 0) d ON true
 ORDER BY {source_keys}
