-- Run by catalog::manifest as the extension's owner: what rag_attach_collection needs to know of a generation ($1) where the catalog knows
-- it no more. Dumps take it along as part of the comment on the table of documents.
SELECT pg_catalog.jsonb_build_object(
           'version', 1,
           'collection', c.name,
           'source', pg_catalog.format('%I.%I', n.nspname, s.relname),
           'content', c.content_column,
           'content_kind', c.content_kind,
           'title', c.title_column,
           'file_name', c.file_name_column,
           'media_type', c.media_type_column,
           'keep_text', c.keep_text,
           'ocr', c.ocr,
           'text_search_config', c.text_search_config,
           'replicated', c.replicated,
           'model', g.model,
           'fingerprint', g.fingerprint,
           'storage_format', g.storage_format,
           'analysis', g.analysis,
           'dimensions', g.dimensions,
           'max_tokens', g.max_tokens,
           'overlap_tokens', g.overlap_tokens,
           'format', g.format,
           'index', g.index_method,
           'lexical', g.lexical,
           'chunks', k.relname,
           'bits', b.relname,
           'segments', m.relname,
           'postings', p.relname)::text
  FROM rag.generation g
  JOIN rag.collection c ON c.collection_id = g.collection_id
  JOIN pg_catalog.pg_class s ON s.oid = c.source
  JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
  JOIN pg_catalog.pg_class k ON k.oid = g.chunks
  JOIN pg_catalog.pg_class m ON m.oid = g.segments
  JOIN pg_catalog.pg_class p ON p.oid = g.postings
  LEFT JOIN pg_catalog.pg_class b ON b.oid = g.bits
 WHERE g.generation_id = $1
