-- Run by rag_verify as the source's owner, through a cursor: documents that differ from their source row.
-- 0 has none, 1 is of another text, 2 has no source row. Hashed before the join, so that no join
-- carries texts.
SELECT CASE WHEN d.source_hash IS NULL THEN 0 ELSE 1 END, ARRAY[{source_texts}]
  FROM (SELECT {source_keys}, {source_hash} AS hash FROM {source} s OFFSET 0) s
  LEFT JOIN {documents} d ON {equal}
 WHERE d.source_hash IS DISTINCT FROM s.hash
UNION ALL
SELECT 2, ARRAY[{document_texts}]
  FROM {documents} d
 WHERE NOT EXISTS (SELECT FROM {source} s WHERE {source_equal})
