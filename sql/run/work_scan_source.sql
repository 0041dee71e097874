-- Run by pg::worker as the source's owner: the next page of source rows, which of them have no documents
-- row, and which have one made from another text. format() writes a key with its type's output function.
SELECT ARRAY[{source_texts}],
       d.key_1 IS NULL,
       d.key_1 IS NOT NULL
           AND d.source_hash OPERATOR(pg_catalog.<>) rag.source_hash({title}, s.{content}::text)
  FROM (SELECT {source_columns} FROM {source} s WHERE {after} ORDER BY {source_keys} LIMIT {limit}) s
  LEFT JOIN {documents} d ON {equal}
 ORDER BY {source_keys}
