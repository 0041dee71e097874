-- Run by catalog::collection for every use of a collection, as whoever calls; reads catalogs only.
SELECT c.collection_id AS id,
       c.name,
       c.source::oid AS source,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(r.relname) AS source_sql,
       pg_catalog.quote_ident(n.nspname) AS schema_sql,
       r.relowner AS owner,
       c.content_column::text AS content,
       c.title_column::text AS title,
       c.content_kind,
       c.file_name_column::text AS file_name,
       c.media_type_column::text AS media_type,
       c.keep_text AS keeps_text,
       c.ocr AS with_ocr,
       c.text_search_config,
       c.replicated AS is_replicated,
       c.detached_at IS NOT NULL AS is_detached,
       (SELECT v.oid FROM pg_catalog.pg_class v WHERE v.oid = c.view AND v.relkind = 'v') AS view,
       (SELECT pg_catalog.quote_ident(vn.nspname) || '.' || pg_catalog.quote_ident(v.relname)
          FROM pg_catalog.pg_class v JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace
         WHERE v.oid = c.view AND v.relkind = 'v') AS view_sql
  FROM rag.collection c
  LEFT JOIN (pg_catalog.pg_class r JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace)
    ON r.oid = c.source
 WHERE c.name OPERATOR(pg_catalog.=) $1 OR c.collection_id OPERATOR(pg_catalog.=) $2
