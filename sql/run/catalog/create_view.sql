-- Run as the source's owner for the active generation; a switch of generations replaces the view.
CREATE {or_replace} VIEW {view} WITH (security_invoker = true) AS
SELECT {view_keys},
       c.chunk_id,
       p.ordinal::int AS ordinal,
       c.content,
       c.token_count,
       p.char_start,
       p.char_end,
       pg_catalog.jsonb_strip_nulls(
           pg_catalog.jsonb_build_object('section', c.section, 'page', p.page){place}) AS metadata,
       c.embedding::{vector}.vector AS embedding
  FROM {documents} d
 CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(d.chunk_ids), pg_catalog.unnest(d.char_starts),
                               pg_catalog.unnest(d.char_ends), pg_catalog.unnest(d.pages))
       WITH ORDINALITY AS p (chunk_id, char_start, char_end, page, ordinal)
  JOIN {chunks} c ON c.chunk_id OPERATOR(pg_catalog.=) p.chunk_id
 WHERE {visible};
REVOKE USAGE ON TYPE {view} FROM PUBLIC
