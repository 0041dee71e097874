-- rag.query_log and rag_feedback: what is logged, who may read it, and who may judge what was found.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE TABLE manual (id int PRIMARY KEY, tenant text NOT NULL, body text);
INSERT INTO manual VALUES
    (1, 'ann', 'VACUUM reclaims storage occupied by dead tuples.'),
    (2, 'ann', 'A savepoint marks a place inside a transaction.'),
    (3, 'bob', 'The giraffe is the tallest living animal on land.'),
    (4, 'bob', 'Honey bees dance to tell their sisters where flowers are.');
CREATE ROLE log_owner;
CREATE ROLE log_ann;
CREATE ROLE log_bob;
CREATE ROLE log_monitor IN ROLE pg_monitor;
ALTER TABLE manual OWNER TO log_owner;
GRANT CREATE ON SCHEMA public TO log_owner;
SET ROLE log_owner;
SELECT rag_create_collection('manual', 'manual', 'body', text_search_config => 'english');
SELECT rag_grant('manual', 'log_ann'), rag_grant('manual', 'log_bob');
GRANT SELECT ON manual TO log_ann, log_bob;
ALTER TABLE manual ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON manual USING ('log_' || tenant = current_user);
RESET ROLE;
CALL rag_work('manual');

-- Off by default; a user cannot turn it on, or off.
SELECT count(*) FROM rag_search('manual', 'dead tuples');
SELECT count(*) FROM rag.query_log;
SELECT rag_last_query();
SET ROLE log_ann;
SET rag_pg.query_log_sample = 1;
RESET ROLE;
SET rag_pg.query_log_sample = 1;

-- Ann asks, the owner reads.
SET ROLE log_ann;
SELECT document_key FROM rag_search('manual', 'where do dead tuples go?', 1, '{"id": {"lt": 9}}', rerank => false);
SELECT rag_last_query() AS ann_query \gset
SELECT status, query_id - :ann_query AS after, query_id = rag_last_query() AS is_last FROM rag_answer('manual', 'What does VACUUM reclaim?');
SELECT rag_last_query() AS ann_answer \gset
SELECT status FROM rag_answer('manual', 'Who won the football world cup of 1954?');
SELECT count(*) FROM rag_explain('manual', 'not logged: nobody asked');
SELECT count(*) FROM rag.query_log;
SELECT count(*) FROM rag.logged_query;
INSERT INTO rag.logged_query (query) VALUES ('forged');
SELECT count(*) FROM rag.logged_feedback;
RESET ROLE;
SET ROLE log_owner;
SELECT collection, role, kind, query, options, model, length(fingerprint) AS fingerprint, found, status, confidence BETWEEN -1 AND 1 AS confidence, left(answer, 20) AS answer,
       logged_at BETWEEN now() - interval '1 hour' AND clock_timestamp() AS is_recent
  FROM rag.query_log ORDER BY query_id;
SELECT c -> 'document_key' AS key, c -> 'kept' AS kept, c -> 'dense' AS dense, c -> 'lexical' AS lexical, (c ->> 'similarity')::float8 BETWEEN -1 AND 1 AS similarity, c ? 'maxsim' AS maxsim
  FROM rag.query_log, jsonb_array_elements(candidates) c WHERE query_id = :ann_query;
SELECT query_id = :ann_answer AS is_answer, array_agg(key ORDER BY key) AS times, bool_and(value::float8 >= 0) AS measured
  FROM rag.query_log, jsonb_each_text(milliseconds) WHERE query_id IN (:ann_query, :ann_answer) GROUP BY 1 ORDER BY 1;
RESET ROLE;
-- Those who watch the server see who asked what and how long it took, but nothing that came from documents.
SET ROLE log_monitor;
SELECT count(*), count(query) AS queries, count(candidates) AS candidates, count(answer) AS answers FROM rag.query_log;
SELECT count(*) FROM rag.feedback;
RESET ROLE;
-- A condition of the reader's sees only rows that the reader may.
CREATE FUNCTION spy(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE WARNING 'saw %', $1; RETURN true; END $$;
SET ROLE log_bob;
SELECT count(*) FROM rag.query_log WHERE spy(query);
SELECT count(*) FROM rag.feedback WHERE spy(query);
RESET ROLE;

-- Feedback: by who asked, or by the owner, on chunks they may see.
SELECT chunk_id AS vacuum FROM manual_chunks WHERE id = 1 \gset
SELECT chunk_id AS giraffe FROM manual_chunks WHERE id = 3 \gset
\set VERBOSITY terse
SET ROLE log_ann;
SELECT rag_feedback(:ann_answer, :vacuum, false);
SELECT rag_feedback(:ann_answer, :vacuum, true);
DO $$ BEGIN PERFORM rag_feedback(rag_last_query(), 0, true); EXCEPTION WHEN undefined_object THEN RAISE WARNING '%', SQLERRM; END $$;
CREATE FUNCTION pg_temp.refused(statement text, OUT state text, OUT message text, OUT hint boolean) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
    message := regexp_replace(message, '\d+', 'N', 'g');
END $$;
SELECT state, message FROM pg_temp.refused(format('SELECT rag_feedback(%s, %s, true)', :ann_answer, :giraffe));
RESET ROLE;
SET ROLE log_bob;
SELECT state, message FROM pg_temp.refused(format('SELECT rag_feedback(%s, %s, true)', :ann_answer, :giraffe));
SELECT state, message FROM pg_temp.refused('SELECT rag_feedback(9223372036854775807, 1, true)');
SELECT rag_feedback(NULL, 1, true);
RESET ROLE;
SET ROLE log_owner;
SELECT rag_feedback(:ann_answer, :giraffe, false);
SELECT collection, query, document_key, relevant, role FROM rag.feedback ORDER BY role;
RESET ROLE;

-- What cannot be written is not logged, and nothing fails.
SET ROLE log_ann;
BEGIN READ ONLY;
SELECT document_key FROM rag_search('manual', 'savepoint', 1);
SELECT rag_last_query();
SELECT query_id FROM rag_answer('manual', 'What is a savepoint?');
COMMIT;
-- What a transaction that did not commit asked is not logged either.
BEGIN;
SELECT count(*) > 0 AS found FROM rag_search('manual', 'rolled back');
ROLLBACK;
RESET ROLE;
-- Called force_parallel_mode before PostgreSQL 16.
SELECT name AS parallel FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \gset
SET :parallel = on;
SELECT count(*) > 0 AS found FROM rag_search('manual', 'in parallel');
RESET :parallel;
SELECT count(*) FROM rag.query_log WHERE query IN ('savepoint', 'What is a savepoint?', 'rolled back');
-- A sample.
SET rag_pg.query_log_sample = 0.5;
SELECT count(*) FROM generate_series(1, 100) g, LATERAL rag_search('manual', 'sampled ' || g, 1, rerank => false, dense_weight => 0);
SELECT count(*) BETWEEN 20 AND 80 AS about_half FROM rag.query_log WHERE query LIKE 'sampled %';
SET rag_pg.query_log_sample = 2;
RESET rag_pg.query_log_sample;

-- rag_work deletes what is older than the setting keeps, feedback with it.
UPDATE rag.logged_query SET logged_at = now() - interval '31 days' WHERE role <> 'log_ann' OR kind = 'answer';
SELECT count(*) FROM rag.feedback;
CALL rag_work('manual');
SELECT role, kind, count(*) FROM rag.query_log GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) FROM rag.feedback;
-- A dropped collection takes its log along.
SELECT rag_drop_collection('manual');
SELECT count(*) FROM rag.logged_query;
DROP TABLE manual;
DROP FUNCTION spy;
REVOKE CREATE ON SCHEMA public FROM log_owner;
DROP OWNED BY log_owner, log_ann, log_bob, log_monitor;
DROP ROLE log_owner, log_ann, log_bob, log_monitor;
