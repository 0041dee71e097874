-- Run by rag_attach_collection; reads catalogs only: the key columns of a table of a generation ($1), and of the primary key of a source
-- ($2), each type with its modifier and collation. One side has NULL where the other has more columns.
SELECT h.atttypid AS had, h.atttypmod AS had_modifier, w.atttypid AS wanted, w.atttypmod AS wanted_modifier,
       (h.atttypid, h.atttypmod, h.attcollation) IS DISTINCT FROM (w.atttypid, w.atttypmod, w.attcollation) AS differs
  FROM (SELECT k.position, a.atttypid, a.atttypmod, a.attcollation
          FROM pg_catalog.pg_index i
         CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, position)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
         WHERE i.indrelid = $2 AND i.indisprimary AND k.position <= i.indnkeyatts) w
  FULL JOIN (SELECT pg_catalog.substr(a.attname::text, 5)::bigint AS position, a.atttypid, a.atttypmod, a.attcollation
               FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = $1 AND a.attname::text ~ '^key_[1-9][0-9]?$' AND NOT a.attisdropped) h ON h.position = w.position
 ORDER BY COALESCE(w.position, h.position)
