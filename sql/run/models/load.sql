-- Run by models::remote with the rights of the extension's owner: a remote model by its name ($1), and whether the role
-- $2 may use it.
SELECT m.kind, m.provider, m.url, m.model, m.dimensions, m.max_tokens, m.max_output_tokens,
       m.query_prefix, m.document_prefix, m.max_items, m.max_request_tokens, m.concurrency,
       m.requests_per_minute, m.tokens_per_minute, m.temperature,
       (pg_catalog.date_part('epoch', m.timeout) * 1000)::bigint AS timeout_ms, m.retries, m.parameters::text,
       m.query_parameters::text, m.document_parameters::text,
       m.input_price, m.output_price, m.request_price, m.credential,
       c.url_prefix AS credential_url_prefix, c.file AS credential_file, c.env AS credential_env,
       pg_catalog.pg_has_role($2, r.relowner, 'USAGE')
         OR EXISTS (SELECT FROM rag.model_use u
                     WHERE u.model = m.name AND (u.role = 0 OR pg_catalog.pg_has_role($2, u.role, 'USAGE'))) AS may_use,
       l.max_items AS learnt_texts, l.max_request_tokens AS learnt_tokens,
       COALESCE(l.is_serial, false) AS learnt_is_serial, COALESCE(l.adapted, '{}') AS learnt_adapted
  FROM rag.remote_model m
  JOIN pg_catalog.pg_class r ON r.oid = 'rag.remote_model'::pg_catalog.regclass
  LEFT JOIN rag.credential c ON c.name = m.credential
  LEFT JOIN rag.model_learnt l ON l.model = m.name
 WHERE m.name = $1
