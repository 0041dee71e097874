-- Run by rag_estimate and rag_rebuild as the source's owner: texts of some files, as the active generation keeps them, long ones without
-- their end.
SELECT ARRAY[{document_texts}] AS key, {title} AS title, pg_catalog.left(d.text, {characters}) AS content,
       pg_catalog.octet_length(d.text) AS bytes, d.parts
  FROM {documents} d TABLESAMPLE pg_catalog.system ({percent}) REPEATABLE (1)
  JOIN {source} s ON {equal}
 WHERE d.text IS NOT NULL
 ORDER BY pg_catalog.hashtext(d.ctid::text), d.ctid
 LIMIT {limit}
