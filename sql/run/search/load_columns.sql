-- Run by searches for the hint of an error: the columns of a table.
SELECT a.attname::text
  FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
