-- rag_embed: what it returns, what it refuses. Figures of the default model are rounded: another
-- processor's kernels may differ in the last digits.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = notice;
-- The SQLSTATE, message and hint a statement fails with.
CREATE FUNCTION embed_refused(statement text, OUT state text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    message := 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    -- What else is installed and where is the machine's business.
    hint := regexp_replace(hint, 'Installed in .*', 'Installed in ...');
END $$;

SELECT pg_typeof(v), vector_dims(v), round(vector_norm(v)::numeric, 3) AS norm,
       round((v::real[])[1]::numeric, 1) AS first
  FROM rag_embed('This is an example sentence') v;

-- Similar texts are near each other.
SELECT d FROM unnest(ARRAY['The cat sat on the mat.', 'VACUUM reclaims storage of dead tuples.', 'Bread is baked from flour.']) d
 ORDER BY rag_embed(d, purpose => 'document') <=> rag_embed('How do I remove dead rows?') LIMIT 1;

-- NULL in, NULL out; an array keeps its NULLs and its order.
SELECT rag_embed(NULL::text) IS NULL AS text, rag_embed(NULL::text[]) IS NULL AS texts;
SELECT pg_typeof(v), array_length(v, 1), v[2] IS NULL AS second_is_null, v[1] <=> v[4] < 0.001 AS equal_texts_are_equal
  FROM rag_embed(ARRAY['a cat', NULL, repeat('something else ', 30), 'a cat']) v;
SELECT rag_embed('{}'::text[]), rag_embed(ARRAY[NULL, NULL]::text[]);
SELECT i, vector_dims(v) FROM unnest(rag_embed(ARRAY['x', NULL])) WITH ORDINALITY AS t (v, i);

-- One batch gives what one text at a time gives.
WITH texts AS (SELECT i, 'row ' || repeat('of words ', i * 7 % 40) || i AS t FROM generate_series(1, 50) i),
     batch AS (SELECT v, i FROM unnest(rag_embed((SELECT array_agg(t ORDER BY i) FROM texts))) WITH ORDINALITY AS b (v, i))
SELECT count(*), max(batch.v <=> rag_embed(t, purpose => 'document')) < 0.001 AS same FROM texts JOIN batch USING (i);

-- A model by its fingerprint.
SELECT rag_embed('x') = rag_embed('x', name || '@' || fingerprint) AS same FROM rag.model WHERE is_default;
SELECT name, kind, dimensions, max_tokens, precision, is_current, error IS NULL AS intact,
       fingerprint ~ '^[0-9a-f]{64}$' AS fingerprint, size > 1000000 AS size
  FROM rag.model WHERE is_default;

-- Longer than the window: a notice, an error or silence, as rag_pg.truncation says.
SELECT vector_dims(rag_embed(repeat('word ', 300)));
SELECT array_length(rag_embed(ARRAY['short', repeat('word ', 300), repeat('word ', 301)]), 1);
SELECT array_length(rag_embed(ARRAY['short', repeat('word ', 300)]), 1);
SET rag_pg.truncation = silent;
SELECT vector_dims(rag_embed(repeat('word ', 300)));
SELECT round((rag_embed(repeat('word ', 300)) <=> rag_embed(repeat('word ', 254)))::numeric, 3) AS distance;
SET rag_pg.truncation = error;
SELECT * FROM embed_refused($$SELECT rag_embed(repeat('word ', 300))$$);
SELECT vector_dims(rag_embed(repeat('word ', 254)));
RESET rag_pg.truncation;

-- Refused.
SELECT * FROM embed_refused($$SELECT rag_embed('')$$);
SELECT * FROM embed_refused($$SELECT rag_embed(E' \n\t ')$$);
SELECT * FROM embed_refused($$SELECT rag_embed(U&'\200B')$$);
SELECT * FROM embed_refused($$SELECT rag_embed(ARRAY['x', NULL, ' '])$$);
SELECT * FROM embed_refused($$SELECT rag_embed('x', 'no-such-model')$$);
SELECT * FROM embed_refused($$SELECT rag_embed('x', '../models')$$);
SELECT * FROM embed_refused($$SELECT rag_embed('x', 'all-MiniLM-L6-v2@0000')$$);
SELECT * FROM embed_refused(format($$SELECT rag_embed('x', 'all-MiniLM-L6-v2@%s')$$, repeat('0', 64)));
SELECT * FROM embed_refused($$SELECT rag_embed('x', purpose => 'answer')$$);
SELECT * FROM embed_refused($$SELECT rag_embed('x', purpose => NULL)$$);
SELECT * FROM embed_refused($$SET rag_pg.truncation = 'maybe'$$);
SET rag_pg.default_model = 'gone';
SELECT * FROM embed_refused($$SELECT rag_embed('x')$$);
RESET rag_pg.default_model;

-- Paths are for superusers: the server reads and runs what it finds there.
CREATE ROLE embed_user;
SET ROLE embed_user;
SELECT * FROM embed_refused($$SET rag_pg.model_path = '/tmp'$$);
SELECT * FROM embed_refused($$SET rag_pg.onnxruntime_path = '/tmp/x.so'$$);
SELECT vector_dims(rag_embed('anyone may embed')), count(*) > 0 AS and_list FROM rag.model;
RESET ROLE;
DROP ROLE embed_user;

-- STABLE: it drives an index, and a statement embeds a text once however many rows ask.
CREATE TABLE embedded (id int, embedding vector(384));
INSERT INTO embedded SELECT i, v FROM unnest(rag_embed(ARRAY['cats', 'dogs', 'databases'])) WITH ORDINALITY AS t (v, i);
CREATE INDEX ON embedded USING hnsw (embedding vector_cosine_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM embedded ORDER BY embedding <=> rag_embed('PostgreSQL') LIMIT 1;
SELECT id FROM embedded ORDER BY embedding <=> rag_embed('PostgreSQL') LIMIT 1;
RESET enable_seqscan;
SET statement_timeout = '15s';
SELECT count(*) FROM generate_series(1, 100000) i WHERE vector_dims(rag_embed('PostgreSQL')) + i > 0;
RESET statement_timeout;
DROP TABLE embedded;

-- Any UTF-8 goes.
SELECT array_length(rag_embed(ARRAY[U&'\+01F431 \+01F468\200D\+01F469\200D\+01F467', 'żółć', '数据库', U&'a\0300\0301\0302', repeat('x', 100000), '[CLS] [SEP]']), 1);
DROP FUNCTION embed_refused;
