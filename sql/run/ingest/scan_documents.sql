-- Run by workers as the source's owner: the next page of documents rows, and which of them have no source row. OFFSET 0 makes it
-- one index probe for each row.
SELECT ARRAY[{document_texts}], s.tableoid IS NULL, false
  FROM (SELECT {document_keys} FROM {documents} d WHERE {after} ORDER BY {document_keys} LIMIT {limit}) d
  LEFT JOIN LATERAL (SELECT s.tableoid FROM {source} s WHERE {equal} OFFSET 0) s ON true
 ORDER BY {document_keys}
