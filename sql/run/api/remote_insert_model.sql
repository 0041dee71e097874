-- Run by rag_create_model with the rights of the extension's owner; no row: the name is taken.
INSERT INTO rag.remote_model
       (name, kind, provider, url, model, credential, dimensions, max_tokens, max_output_tokens,
        query_prefix, document_prefix, max_items, max_request_tokens, concurrency,
        requests_per_minute, tokens_per_minute, temperature, timeout, retries, parameters, fingerprint,
        input_price, output_price, request_price, query_parameters, document_parameters)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
        $18 * '1 millisecond'::interval, $19, $20::jsonb, $21, $22, $23, $24, $25::jsonb, $26::jsonb)
    ON CONFLICT DO NOTHING
