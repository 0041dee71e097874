-- Run by pg::worker as the source's owner: the next page of source rows and which of them have no
-- documents row. format() writes a key with its type's output function.
SELECT ARRAY[{source_texts}], d.key_1 IS NULL
  FROM (SELECT {source_keys} FROM {source} s WHERE {after} ORDER BY {source_keys} LIMIT {limit}) s
  LEFT JOIN {documents} d ON {equal}
 ORDER BY {source_keys}
