-- Run by rag_estimate and rag_rebuild as the source's owner: some documents of all over the source, long
-- ones without their end. Blocks are sampled first, and of those rows by a hash of where they lie.
SELECT ARRAY[{source_texts}] AS key, s.title, pg_catalog.left(s.content, {characters}) AS content,
       COALESCE(pg_catalog.octet_length(s.content), 0) AS bytes
  FROM (SELECT {source_keys}, {title} AS title, {content} AS content, s.ctid
          FROM {source} s TABLESAMPLE pg_catalog.system ({percent}) REPEATABLE (1)
         ORDER BY pg_catalog.hashtext(s.ctid::text), s.ctid LIMIT {documents}) s
