-- Run by catalog::target as the extension's owner after a statement failed: all that statements for a generation ($1) are made of. xmin
-- tells a name that was changed and changed back.
SELECT pg_catalog.concat_ws(' ', c.content_column, c.title_column, c.file_name_column, c.media_type_column, c.key_columns::text, c.source::oid, d.described)
  FROM rag.generation g
  JOIN rag.collection c ON c.collection_id = g.collection_id
 CROSS JOIN LATERAL (
       SELECT pg_catalog.string_agg(
                  pg_catalog.concat_ws(' ', r.oid, r.relnamespace, n.nspname, r.relname, r.relkind, r.relowner, r.relispartition, r.xmin,
                                       a.attnum, a.attname, a.atttypid, a.atttypmod, a.attisdropped, a.xmin),
                  ',' ORDER BY r.oid, a.attnum) AS described
         FROM pg_catalog.pg_class r
         JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
         JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
        WHERE r.oid IN (c.source, g.documents, g.chunks, g.bits, g.segments, g.postings)
           OR r.oid IN (SELECT p.relid::oid FROM pg_catalog.pg_partition_tree(c.source) p)) AS d
 WHERE g.generation_id = $1
