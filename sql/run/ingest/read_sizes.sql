-- Run by workers as the source's owner: bytes of each document, without reading it.
SELECT COALESCE(pg_catalog.octet_length(s.{content}::text), 0)
  FROM {keys} LEFT JOIN {source} s ON {source_equal}
 ORDER BY k.ordinal
