-- Remote models: who may make and use them, what they may be, what they show. Nothing here is called: the
-- tests with a provider are 100_remote.pl.
CREATE ROLE remote_user;
CREATE ROLE remote_admin;
GRANT USAGE, CREATE ON SCHEMA public TO remote_admin;

-- Credentials name a place, and hold no key.
SELECT rag_create_credential('acme', 'https://API.acme.example:443/v1/', file => '/etc/rag_pg/acme.key');
SELECT rag_create_credential('acme-env', 'https://api.acme.example', env => 'ACME_KEY');
SELECT name, url_prefix, file, env FROM rag.credential ORDER BY name;
SELECT rag_create_credential('acme', 'https://api.acme.example', env => 'X');
SELECT rag_create_credential('both', 'https://api.acme.example', file => '/x', env => 'X');
SELECT rag_create_credential('none', 'https://api.acme.example');
SELECT rag_create_credential('x', 'file:///etc/passwd', env => 'X');
SELECT rag_create_credential('x', 'https://user:secret@api.acme.example', env => 'X');
SELECT rag_create_credential('x', 'https://api.acme.example', file => '../x');
SELECT rag_create_credential('x', 'https://api.acme.example', env => 'A B');
SELECT rag_create_credential('x y', 'https://api.acme.example', env => 'X');
SELECT rag_create_credential(NULL, 'https://api.acme.example', env => 'X');
SELECT rag_create_credential('x', NULL, env => 'X');

-- Models are checked when they are made.
SELECT rag_create_model('remote-embedder', 'embedder', 'openai', url => 'https://api.acme.example/v1', credential => 'acme', dimensions => 3);
SELECT rag_create_model('remote-reranker', 'reranker', 'cohere');
SELECT rag_create_model('remote-generator', 'generator', 'anthropic', model => 'some-model', temperature => 0, timeout => '1 min', parameters => '{"top_p": 0.5}');
SELECT name, kind, dimensions, max_tokens, precision, is_current, is_default, is_loaded, error, provider, may_use, length(fingerprint)
  FROM rag.model WHERE provider <> 'local' ORDER BY name;
SELECT name, url, model, credential, max_items, temperature, timeout, retries, parameters FROM rag.remote_model ORDER BY name;
SELECT rag_create_model('remote-embedder', 'embedder', 'openai', dimensions => 3);
SELECT rag_create_model('all-MiniLM-L6-v2', 'embedder', 'openai', dimensions => 3);
SELECT rag_create_model('a b', 'embedder', 'openai', dimensions => 3);
SELECT rag_create_model('m', 'oracle', 'openai');
SELECT rag_create_model('m', 'embedder', 'acme', dimensions => 3);
SELECT rag_create_model('m', 'embedder', 'anthropic', dimensions => 3);
SELECT rag_create_model('m', 'embedder', 'openai');
SELECT rag_create_model('m', 'reranker', 'cohere', dimensions => 3);
SELECT rag_create_model('m', 'embedder', 'tei', dimensions => 3);
SELECT rag_create_model('m', 'embedder', 'openai', url => 'file:///etc/passwd', dimensions => 3);
SELECT rag_create_model('m', 'embedder', 'openai', dimensions => 3, credential => 'nobody');
SELECT rag_create_model('m', 'embedder', 'openai', url => 'https://api.acme.example.evil/v1', dimensions => 3, credential => 'acme');
SELECT rag_create_model('m', 'embedder', 'openai', dimensions => -3);
SELECT rag_create_model('m', 'embedder', 'openai', dimensions => 3, max_items => 101);
SELECT rag_create_model('m', 'embedder', 'openai', dimensions => 3, retries => -1, timeout => '-1 s');
SELECT rag_create_model('m', 'generator', 'openai', temperature => 'NaN');
SELECT rag_create_model('m', 'generator', 'openai', parameters => '[1]');
SELECT rag_create_model('m', 'embedder', 'openai', dimensions => 3, query_parameters => '"query"');
SELECT rag_create_model('m', 'reranker', 'cohere', query_parameters => '{"input_type": "query"}');
SELECT rag_create_model(NULL, 'generator', 'openai');
-- Parameters of a purpose make another model of it.
SELECT rag_create_model('of-purpose', 'embedder', 'openai', model => 'remote-embedder', url => 'https://api.acme.example/v1', credential => 'acme', dimensions => 3,
  query_parameters => '{"input_type": "query"}', document_parameters => '{"input_type": "passage"}');
SELECT query_parameters, document_parameters, fingerprint <> (SELECT fingerprint FROM rag.remote_model WHERE name = 'remote-embedder') AS differs
  FROM rag.remote_model WHERE name = 'of-purpose';
SELECT rag_drop_model('of-purpose');

-- A model is used as what it is.
SELECT rag_embed('x', model => 'remote-reranker');
SELECT * FROM rag_rerank('x', ARRAY['y'], model => 'remote-embedder');
SELECT * FROM rag_answer('x', ARRAY['y'], model => 'remote-embedder');
SELECT * FROM rag_answer('x', ARRAY['y'], instructions => 'be brief');
SELECT rag_embed('x', model => 'nobody');
-- Where a tokenizer is not here, tokens are estimated, and that is said.
SELECT content, token_count, metadata FROM rag_chunk('Internationalisation takes 3 words.', model => 'remote-embedder');
SELECT max(token_count) <= 20 FROM rag_chunk(repeat('word ', 100), max_tokens => 20, model => 'remote-embedder');
-- A collection is made with a remote embedder as with a local one, for an owner who may use it. It has no vectors of
-- tokens, so no bits.
CREATE TABLE remote_docs (id int PRIMARY KEY, body text);
SELECT rag_create_collection('remote_docs', 'remote_docs', 'body', model => 'remote-reranker');
SELECT rag_create_collection('remote_docs', 'remote_docs', 'body', model => 'remote-embedder', token_bits => true);
SELECT rag_create_collection('remote_docs', 'remote_docs', 'body', model => 'remote-embedder', max_tokens => 600);
ALTER TABLE remote_docs OWNER TO remote_admin;
SELECT rag_create_collection('remote_docs', 'remote_docs', 'body', model => 'remote-embedder');
SELECT rag_grant_model('remote-embedder', 'remote_admin');
SELECT rag_create_collection('remote_docs', 'remote_docs', 'body', model => 'remote-embedder');
SELECT model, dimensions, max_tokens, overlap_tokens, token_bits FROM rag.generation_status WHERE collection = 'remote_docs';
-- What making it would cost, by the model's prices; nobody is called for it.
SELECT rag_create_model('remote-priced', 'embedder', 'openai', url => 'https://api.acme.example/v1', dimensions => 3, max_items => 50, input_price => 1e6, request_price => 1000);
INSERT INTO remote_docs SELECT i, 'two words' FROM generate_series(1, 60) i;
SELECT chunks, tokens, embed, cost, duration > '0' AS takes_time FROM rag_estimate('remote_docs', model => 'remote-embedder');
SELECT rag_grant_model('remote-priced', '-');
SELECT chunks, tokens, embed, cost FROM rag_estimate('remote_docs', model => 'remote-priced');
SELECT rag_create_model('m', 'embedder', 'openai', dimensions => 3, input_price => -1);
TRUNCATE remote_docs;
SELECT rag_drop_model('remote-embedder');
-- Another model, and back. What a rebuild says of its work has the generation's number.
SET client_min_messages = warning;
SELECT rag_rebuild('remote_docs', model => 'remote-embedder', token_bits => true);
CALL rag_work('remote_docs');
SELECT rag_rebuild('remote_docs', model => 'all-MiniLM-L6-v2', switch => true) > 0;
CALL rag_work('remote_docs');
SELECT state, model, max_tokens, token_bits FROM rag.generation_status WHERE collection = 'remote_docs' ORDER BY state;
SELECT rag_rebuild('remote_docs', model => 'remote-embedder', switch => true) > 0;
CALL rag_work('remote_docs');
SELECT state, model, max_tokens, token_bits FROM rag.generation_status WHERE collection = 'remote_docs' AND state = 'active';
RESET client_min_messages;
SELECT rag_revoke_model('remote-embedder', 'remote_admin');
SET ROLE remote_admin;
SELECT rag_rebuild('remote_docs');
SELECT * FROM rag_search('remote_docs', 'anything');
RESET ROLE;
SELECT * FROM rag_search('remote_docs', 'anything');
SELECT rag_drop_collection('remote_docs');
DROP TABLE remote_docs;
-- Addresses are checked before anything is sent.
SELECT rag_create_model('inside', 'embedder', 'ollama', dimensions => 3);
SELECT rag_create_model('metadata', 'embedder', 'openai', url => 'https://169.254.169.254/latest', dimensions => 3);
SELECT rag_embed('x', model => 'inside');
SELECT rag_embed('x', model => 'metadata');
SET rag_pg.allowed_hosts = 'localhost:1, not a host';
SELECT rag_embed('x', model => 'inside');
RESET rag_pg.allowed_hosts;
-- A trial shows a failure as a row.
SELECT purpose, ok, dimensions, tokens, requests, adapted, words FROM rag_test_model('metadata');
SELECT rag_test_model('nobody');
SELECT rag_test_model('all-MiniLM-L6-v2');
-- NULL and nothing to do make no call.
SELECT rag_embed(NULL::text, model => 'remote-embedder'), rag_embed('{}'::text[], model => 'remote-embedder');
SELECT count(*) FROM rag_rerank('x', '{}'::text[], model => 'remote-reranker');
SELECT status, claims, usage FROM rag_answer('x', ARRAY[' ', NULL], model => 'remote-generator');
-- The planner's estimates make none either.
CREATE TABLE remote_vectors (v vector(3));
EXPLAIN (COSTS OFF) SELECT FROM remote_vectors WHERE v = rag_embed('x', model => 'remote-embedder');
EXPLAIN (COSTS OFF) SELECT FROM remote_vectors ORDER BY v <=> rag_embed('x', model => 'remote-embedder');

-- Users may use what they are granted, and nothing else.
SET ROLE remote_user;
SELECT name, may_use FROM rag.model WHERE provider <> 'local' ORDER BY name;
SELECT rag_embed('x', model => 'remote-embedder');
SELECT rag_test_model('remote-embedder');
SELECT * FROM rag_rerank('x', ARRAY['y'], model => 'remote-reranker');
SELECT * FROM rag_answer('x', ARRAY['y'], model => 'remote-generator');
SELECT rag_create_credential('mine', 'https://evil.example', file => '/etc/passwd');
SELECT rag_create_model('mine', 'embedder', 'openai', url => 'https://evil.example', dimensions => 3);
SELECT rag_drop_model('remote-embedder');
SELECT rag_drop_credential('acme');
SELECT rag_grant_model('remote-embedder', 'remote_user');
SELECT FROM rag.credential;
SELECT FROM rag.remote_model;
INSERT INTO rag.model_use VALUES ('remote-embedder', 'remote_user');
SET rag_pg.allowed_hosts = 'localhost';
SET rag_pg.ca_file = '/etc/passwd';
SET rag_pg.default_model = 'remote-embedder';
SELECT rag_embed('x');
RESET rag_pg.default_model;
RESET ROLE;
SELECT rag_grant_model('inside', 'remote_user');
SELECT rag_grant_model('inside', 'remote_user');
SELECT rag_grant_model('remote-generator', '-');
SELECT rag_grant_model('nobody', 'remote_user');
SET ROLE remote_user;
SELECT name FROM rag.model WHERE provider <> 'local' AND may_use ORDER BY name;
SELECT rag_embed('x', model => 'inside');
RESET ROLE;
SELECT rag_revoke_model('inside', 'remote_user');
SET ROLE remote_user;
SELECT rag_embed('x', model => 'inside');
RESET ROLE;
-- An administrator need not be a superuser.
GRANT EXECUTE ON FUNCTION rag_create_model TO remote_admin;
SET ROLE remote_admin;
SELECT rag_create_model('theirs', 'generator', 'openai');
SELECT FROM rag.remote_model;
RESET ROLE;

-- What is in use stays.
SELECT rag_drop_credential('acme');
SELECT rag_drop_model('remote-embedder');
SELECT rag_drop_credential('acme');
SELECT rag_drop_credential('acme');
SELECT rag_drop_model('remote-embedder');
SELECT rag_drop_model(name) FROM rag.remote_model ORDER BY name;
SELECT count(*) AS grants FROM rag.model_use;
SELECT rag_drop_credential('acme-env');
REVOKE EXECUTE ON FUNCTION rag_create_model FROM remote_admin;
REVOKE ALL ON SCHEMA public FROM remote_admin;
DROP TABLE remote_vectors;
DROP ROLE remote_user, remote_admin;
