-- Run by workers as the source's owner: bytes of each document, without reading it.
SELECT COALESCE({size}, 0)
  FROM {keys} LEFT JOIN {source} s ON {source_equal}
 ORDER BY k.ordinal
