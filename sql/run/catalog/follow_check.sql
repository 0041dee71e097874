-- Run by rag_follow_ddl: why a collection can no longer be kept up, or NULL.
SELECT CASE
         WHEN EXISTS (SELECT FROM pg_catalog.unnest(c.column_numbers) AS k (number)
                        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.source AND a.attnum = k.number
                       WHERE a.attisdropped)
           THEN 'a column of the collection was dropped'
         WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_index i
                           WHERE i.indrelid = c.source AND i.indisprimary
                             AND (i.indkey::int2[])[0:i.indnkeyatts - 1] = c.column_numbers[5:])
           THEN 'the source has another primary key than the collection, or none'
         WHEN EXISTS (SELECT FROM pg_catalog.pg_class r JOIN pg_catalog.pg_inherits h
                          ON h.inhparent = r.oid OR h.inhrelid = r.oid
                       WHERE r.oid = c.source AND r.relkind = 'r'
                         -- A partition beside those of other servers has triggers for that, or gets them.
                         AND NOT (r.relispartition
                                  AND (EXISTS (SELECT FROM pg_catalog.pg_trigger t
                                                WHERE t.tgrelid = r.oid AND t.tgname = pg_catalog.format('rag_pg_%s_delete', c.collection_id)::name
                                                  AND t.tgtype & 1::int2 = 1::int2)
                                       OR EXISTS (SELECT FROM pg_catalog.pg_partition_tree(pg_catalog.pg_partition_root(r.oid)) p
                                                    JOIN pg_catalog.pg_class f ON f.oid = p.relid AND f.relkind = 'f'))))
           THEN 'the source inherits from a table or is inherited from'
       END
  FROM rag.collection c
 WHERE c.collection_id = $1
