-- Run by pg::worker as the source's owner: the next page of documents rows and which of them have no
-- source row.
SELECT ARRAY[{document_texts}], s.{first_key} IS NULL, false
  FROM (SELECT {document_keys} FROM {documents} d WHERE {after} ORDER BY {document_keys} LIMIT {limit}) d
  LEFT JOIN {source} s ON {equal}
 ORDER BY {document_keys}
