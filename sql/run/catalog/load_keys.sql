-- Run by catalog::collection::key: the columns of the primary key of a table ($1) in its order, and how each is compared.
SELECT k.attnum, k.opclass
  FROM pg_catalog.pg_index i
 CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(i.indkey::pg_catalog.int2[]),
                               pg_catalog.unnest(i.indclass::pg_catalog.oid[])) WITH ORDINALITY AS k (attnum, opclass, position)
 WHERE i.indrelid = $1 AND i.indisprimary AND k.position <= i.indnkeyatts
 ORDER BY k.position
