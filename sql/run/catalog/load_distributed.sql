-- Run for every use of a distributed collection, as whoever calls; reads catalogs only. One whose source is gone is none.
SELECT d.collection_id AS id,
       d.name,
       d.source::oid AS source,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(r.relname) AS source_sql,
       pg_catalog.quote_ident(n.nspname) AS schema_sql,
       r.relowner AS owner,
       d.content_column::text AS content,
       d.model,
       d.fingerprint,
       d.dimensions,
       d.token_bits AS has_bits,
       d.max_tokens,
       d.overlap_tokens,
       d.format,
       d.text_search_config,
       d.analysis,
       d.key_columns::text[] AS keys,
       d.title_column::text AS title,
       d.content_kind AS kind
  FROM rag.distributed_collection d
  JOIN pg_catalog.pg_class r ON r.oid = d.source
  JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
 WHERE d.name OPERATOR(pg_catalog.=) $1 OR d.collection_id OPERATOR(pg_catalog.=) $2
