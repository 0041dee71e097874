-- Run by workers as the source's owner: source rows and documents rows of keys. Two keys with the same identity are one
-- document, such as 1.0 and 1.00.
SELECT s.tableoid IS NOT NULL AS is_there,
       {text} AS content,
       {file} AS file,
       {title} AS title,
       {file_name} AS file_name,
       {media_type} AS media_type,
       d.source_hash,
       d.chunk_ids,
       COALESCE(d.ctid::text, s.tableoid::text || s.ctid::text) AS identity
  FROM {keys}
  LEFT JOIN {source} s ON {source_equal}
  LEFT JOIN {documents} d ON {document_equal}
 ORDER BY k.ordinal
