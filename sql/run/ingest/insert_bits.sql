-- Run by workers as the source's owner, in the transaction that applies.
INSERT INTO {bits} (chunk_id, heading_tokens, bits)
SELECT b.chunk_id, b.heading_tokens, b.bits
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::int[]),
                  pg_catalog.unnest($3::bytea[])) AS b (chunk_id, heading_tokens, bits)
