-- Run by catalog::objects before it makes a collection's view: columns of the one that is there.
SELECT a.attname::text
  FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
