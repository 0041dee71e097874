-- Run by rag_import_embeddings as the caller: texts and their vectors.
SELECT s.{content}::pg_catalog.text, s.{embedding}::pg_catalog.float4[]
  FROM {source} s
 WHERE s.{content} IS NOT NULL AND s.{embedding} IS NOT NULL
