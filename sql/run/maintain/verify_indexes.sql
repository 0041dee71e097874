-- Run by rag_verify: statements, with placeholders, for the indexes that are missing or invalid.
-- $1 documents, $2 chunks, $3 token bits or NULL, $4 number of key columns, $5 segments, $6 postings.
WITH valid AS (
    SELECT i.indrelid, i.indisprimary, a.amname,
           ARRAY (SELECT t.attname::text
                    FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, position)
                    JOIN pg_catalog.pg_attribute t ON t.attrelid = i.indrelid AND t.attnum = k.number
                   ORDER BY k.position) AS columns
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      JOIN pg_catalog.pg_am a ON a.oid = c.relam
     WHERE i.indisvalid AND i.indpred IS NULL
), key (columns) AS (
    SELECT pg_catalog.array_agg('key_' || k ORDER BY k) FROM pg_catalog.generate_series(1, $4) AS k
)
SELECT w.statement
  FROM (SELECT 'ALTER TABLE {documents} ADD PRIMARY KEY ({keys})' AS statement,
               EXISTS (SELECT FROM valid v JOIN key k USING (columns)
                        WHERE v.indrelid = $1 AND v.indisprimary) AS is_there
         UNION ALL
        SELECT 'ALTER TABLE {chunks} ADD PRIMARY KEY (chunk_id)',
               EXISTS (SELECT FROM valid v WHERE v.indrelid = $2 AND v.indisprimary AND v.columns = ARRAY ['chunk_id'])
         UNION ALL
        SELECT 'CREATE INDEX ON {chunks} ({keys})',
               EXISTS (SELECT FROM valid v JOIN key k USING (columns)
                        WHERE v.indrelid = $2 AND v.amname = 'btree')
         UNION ALL
        SELECT 'ALTER TABLE {bits} ADD PRIMARY KEY (chunk_id)',
               $3::oid IS NULL
               OR EXISTS (SELECT FROM valid v WHERE v.indrelid = $3 AND v.indisprimary AND v.columns = ARRAY ['chunk_id'])
         UNION ALL
        SELECT 'ALTER TABLE {segments} ADD PRIMARY KEY (segment)',
               EXISTS (SELECT FROM valid v WHERE v.indrelid = $5 AND v.indisprimary AND v.columns = ARRAY ['segment'])
         UNION ALL
        SELECT 'ALTER TABLE {postings} ADD PRIMARY KEY (segment, part, lexeme)',
               EXISTS (SELECT FROM valid v WHERE v.indrelid = $6 AND v.indisprimary AND v.columns = ARRAY ['segment', 'part', 'lexeme'])
       ) AS w
 WHERE NOT w.is_there
