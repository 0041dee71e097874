-- Run where another server asks for a part of its collection, as the role that it asks as; reads catalogs only: the collection over the
-- table $1 with the column $2, of several that of the name $3.
SELECT c.name
  FROM rag.collection c
 WHERE c.source = pg_catalog.to_regclass($1) AND c.content_column = $2::name AND c.detached_at IS NULL
 ORDER BY c.name = $3 DESC, c.collection_id
 LIMIT 1
