-- Run by workers as the source's owner, in the transaction that applies. Embeddings come as one flat array, each chunk's vector
-- a slice of it. The heading path is part of the chunk's lexemes, as of its vector.
INSERT INTO {chunks} (chunk_id, {stored_keys}, content, content_hash, section, token_count, lexeme_count, lexemes, embedding)
SELECT c.chunk_id, {k_keys}, c.content, c.content_hash, c.section, c.token_count, rag.lexeme_count(c.lexemes), c.lexemes,
       ({embeddings}::real[])[(c.position - 1) * {dimensions} + 1 : c.position * {dimensions}]
  -- OFFSET 0: lexemes are made once.
  FROM (SELECT n.*, pg_catalog.to_tsvector({config}::pg_catalog.regconfig,
                                           rag.search_text({config}::pg_catalog.regconfig,
                                                           pg_catalog.concat_ws(E'\n', n.heading, n.content))) AS lexemes
          FROM ROWS FROM (pg_catalog.unnest({chunk_ids}::bigint[]), pg_catalog.unnest({of}::bigint[]),
                          pg_catalog.unnest({contents}::text[]), pg_catalog.unnest({hashes}::bytea[]),
                          pg_catalog.unnest({sections}::text[]), pg_catalog.unnest({headings}::text[]),
                          pg_catalog.unnest({token_counts}::int[]))
               WITH ORDINALITY AS n (chunk_id, document, content, content_hash, section, heading, token_count,
                                     position)
        OFFSET 0) AS c
  JOIN {keys} ON k.ordinal = c.document
RETURNING chunk_id, lexemes
