-- Run by workers and rag_test_model with the rights of the extension's owner: what was learnt of a model ($1).
-- Nothing is kept of a model that was dropped meanwhile.
INSERT INTO rag.model_learnt (model, max_items, max_request_tokens, is_serial, adapted)
SELECT m.name, $2, $3, $4, $5 FROM rag.remote_model m WHERE m.name = $1
    ON CONFLICT (model) DO UPDATE
   SET max_items = excluded.max_items, max_request_tokens = excluded.max_request_tokens,
       is_serial = excluded.is_serial, adapted = excluded.adapted, learnt_at = excluded.learnt_at
