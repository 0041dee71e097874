-- Run by rag_ingest, once for each table and backend: the collections whose source is this table or a partitioned table above
-- it.
-- Release 0.1.0 had no column detached_at, and this runs before its databases are upgraded.
SELECT c.collection_id, c.name, c.key_columns::text[] AS key_columns, c.content_column::text AS content_column,
       c.title_column::text AS title_column, c.file_name_column::text AS file_name_column, c.media_type_column::text AS media_type_column
  FROM rag.collection c
 WHERE (c.source::pg_catalog.oid OPERATOR(pg_catalog.=) $1
        OR c.source::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (
           ARRAY (SELECT a.relid::pg_catalog.oid FROM pg_catalog.pg_partition_ancestors($1::pg_catalog.regclass) a)))
   AND pg_catalog.to_jsonb(c) OPERATOR(pg_catalog.->>) 'detached_at' IS NULL
 ORDER BY c.collection_id
