-- Run by pg::remote with the rights of the extension's owner: a remote model by name, and whether the role
-- $2 may use it.
SELECT m.kind, m.provider, m.url, m.model, m.dimensions, m.max_tokens, m.max_output_tokens,
       m.query_prefix, m.document_prefix, m.max_items, m.max_request_tokens, m.concurrency,
       m.requests_per_minute, m.tokens_per_minute, m.temperature,
       (pg_catalog.date_part('epoch', m.timeout) * 1000)::bigint, m.retries, m.parameters::text,
       c.name, c.url_prefix, c.file, c.env,
       pg_catalog.pg_has_role($2, r.relowner, 'USAGE')
         OR EXISTS (SELECT FROM rag.model_use u
                     WHERE u.model = m.name AND (u.role = 0 OR pg_catalog.pg_has_role($2, u.role, 'USAGE'))),
       m.credential, m.input_price, m.output_price, m.request_price,
       m.query_parameters::text, m.document_parameters::text,
       l.max_items, l.max_request_tokens, COALESCE(l.is_serial, false), COALESCE(l.adapted, '{}')
  FROM rag.remote_model m
  JOIN pg_catalog.pg_class r ON r.oid = 'rag.remote_model'::pg_catalog.regclass
  LEFT JOIN rag.credential c ON c.name = m.credential
  LEFT JOIN rag.model_learnt l ON l.model = m.name
 WHERE m.name = $1
