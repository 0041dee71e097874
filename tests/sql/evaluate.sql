-- rag_evaluate and rag_recall: figures that can be checked by hand, and who may ask for them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE TABLE facts (id int PRIMARY KEY, body text);
INSERT INTO facts VALUES
    (1, 'VACUUM reclaims storage occupied by dead tuples.'),
    (2, 'A savepoint marks a place inside a transaction.'),
    (3, 'The giraffe is the tallest living animal on land.'),
    (4, 'Honey bees dance to tell their sisters where flowers are.'),
    (5, 'Bread is baked from flour, water, salt and yeast.');
SELECT rag_create_collection('facts', 'facts', 'body', text_search_config => 'english');
CALL rag_work('facts');

-- One relevant document each, found first: everything is 1. One of them does not exist.
CREATE TABLE asked (question text, relevant int);
INSERT INTO asked VALUES ('Which animal is the tallest?', 3), ('What is bread baked from?', 5), ('What reclaims storage of dead tuples?', 1), ('not judged', NULL), (NULL, 3);
SELECT stage, asked, recall, mrr, ndcg, p50_ms > 0 AS timed FROM rag_evaluate('facts', 'asked', k => 3);
INSERT INTO asked VALUES ('Which animal is the tallest?', 99);
SELECT stage, asked, round(recall::numeric, 3) AS recall, mrr, round(ndcg::numeric, 3) AS ndcg FROM rag_evaluate('facts', 'asked', k => 3) WHERE stage = 'reranked';
-- 2.5 / 3, and (1 / (1 + 1 / log2(3)) + 2) / 3.
SELECT round(2.5 / 3, 3) AS recall, round(((1 / (1 + ln(2) / ln(3)) + 2) / 3)::numeric, 3) AS ndcg;
-- Against a computation of the same in SQL, for every stage; keys as an object, as a value, as a list.
CREATE TABLE evaluate_questions ("asked for" varchar, keys jsonb);
INSERT INTO evaluate_questions VALUES ('dance of the bees', '{"id": 4}'), ('water and salt', '5'), ('a place on land', '[{"id": 3}, "2"]');
WITH q (question, relevant) AS (VALUES ('dance of the bees', 4), ('water and salt', 5), ('a place on land', 3), ('a place on land', 2)),
     ranks AS (SELECT question, stage, row_number() OVER (PARTITION BY question, stage ORDER BY at) AS rank, key
                 FROM (SELECT DISTINCT question FROM q) d,
              LATERAL (SELECT 'dense' AS stage, row_number() OVER () AS at, (document_key ->> 'id')::int AS key FROM rag_search('facts', question, 3, lexical_weight => 0, rerank => false)
                       UNION ALL SELECT 'lexical', row_number() OVER (), (document_key ->> 'id')::int FROM rag_search('facts', question, 3, dense_weight => 0, rerank => false)
                       UNION ALL SELECT 'hybrid', row_number() OVER (), (document_key ->> 'id')::int FROM rag_search('facts', question, 3, rerank => false)
                       UNION ALL SELECT 'reranked', row_number() OVER (), (document_key ->> 'id')::int FROM rag_search('facts', question, 3)) r),
     judged AS (SELECT stage, question, rank, EXISTS (SELECT FROM q WHERE q.question = ranks.question AND q.relevant = key) AS hit, (SELECT count(*) FROM q WHERE q.question = ranks.question) AS relevant FROM ranks),
     expected AS (SELECT stage, question, sum(hit::int)::float8 / max(relevant) AS recall, coalesce(1.0 / min(rank) FILTER (WHERE hit), 0) AS rr,
                         sum(CASE WHEN hit THEN ln(2) / ln(rank + 1) ELSE 0 END) / (SELECT sum(ln(2) / ln(g + 1)) FROM generate_series(1, least(max(relevant), 3)) g) AS ndcg FROM judged GROUP BY 1, 2)
SELECT stage, round((sum(x.recall) / 3)::numeric, 6) - round(max(e.recall)::numeric, 6) AS recall, round((sum(rr) / 3)::numeric, 6) - round(max(e.mrr)::numeric, 6) AS mrr,
       round((sum(x.ndcg) / 3)::numeric, 6) - round(max(e.ndcg)::numeric, 6) AS ndcg, max(e.mrr) > 0 AS some
  FROM expected x JOIN rag_evaluate('facts', 'evaluate_questions', 'asked for', 'keys', 3) e USING (stage) GROUP BY 1 ORDER BY 1;
-- Arrays, a view, and what the caller leaves out.
CREATE VIEW evaluate_arrays AS SELECT 'Which animal is the tallest?'::text AS question, ARRAY[3, 4] AS relevant UNION ALL SELECT 'nothing', '{}';
SELECT stage, asked, recall, mrr FROM rag_evaluate('facts', 'evaluate_arrays', k => 5);
SELECT stage FROM rag_evaluate('facts', 'asked', lexical_weight => 0);
SELECT count(*) FROM rag_evaluate(NULL, 'asked');
SELECT stage, recall FROM rag_evaluate('facts', 'asked', k => 3, filter => '{"id": {"ne": 3}}') WHERE stage = 'lexical';

-- Answers against accepted ones: a text, several, JSON; without any the question ought to be refused.
CREATE TABLE answered (question text, accepted text[]);
INSERT INTO answered VALUES ('Which animal is the tallest?', '{giraffe,"The giraffe is the tallest living animal on land."}'), ('What is bread baked from?', '{flour}'),
    ('Who painted the ceiling of the chapel?', NULL), ('Which king lost the battle of the three rivers?', '{}'), ('What do honey bees do?', '{"They sing"}');
SELECT asked, answerable, answered, round(exact::numeric, 3) AS exact, round(contained::numeric, 3) AS contained, f1 BETWEEN 0.3 AND 0.9 AS f1, supported, refused, cost, p50_ms > 0 AS timed
  FROM rag_evaluate_answers('facts', 'answered');
CREATE VIEW answered_json AS SELECT 'What is bread baked from?'::text AS asked, '["water", "flour"]'::jsonb AS answers UNION ALL SELECT 'Which animal is the tallest?', '"giraffe"';
SELECT asked, answerable, contained, refused FROM rag_evaluate_answers('facts', 'answered_json', question => 'asked', accepted => 'answers', top_k => 2);
SELECT count(*) FROM rag_evaluate_answers(NULL, 'answered');
SELECT answered FROM rag_evaluate_answers('facts', 'answered', filter => '{"id": {"gt": 99}}');

-- Feedback is a table of questions too; the owner's.
SET rag_pg.query_log_sample = 1;
SELECT query_id AS tallest FROM rag_answer('facts', 'Which animal is the tallest?') \gset
RESET rag_pg.query_log_sample;
SELECT rag_feedback(:tallest, chunk_id, id = 3) FROM facts_chunks WHERE id IN (3, 4);
SELECT stage, asked, recall, mrr FROM rag_evaluate('facts') WHERE stage = 'reranked';

-- The index against an exact scan: on a few chunks an index that is used misses nothing.
SELECT asked, recall, index_p50_ms > 0 AS timed, exact_p50_ms > 0 AS exact_timed, access ~ 'facts_g\d+_chunks' AS access FROM rag_recall('facts', k => 3);
SELECT asked FROM rag_recall('facts', 2);
-- Logged questions, each once and the newest first, as searches embed them; then parts of sentences, so many as are missing.
SELECT asked, logged FROM rag_recall('facts');
SET rag_pg.query_log_sample = 1;
SELECT count(*) > 0 AS found FROM rag_search('facts', 'bees -giraffe', syntax => 'web');
SELECT count(*) > 0 AS found FROM rag_search('facts', 'Which animal is the tallest?');
SELECT count(*) FROM rag_search('facts', '...');
RESET rag_pg.query_log_sample;
SELECT asked, logged FROM rag_recall('facts');
SELECT asked, logged, recall FROM rag_recall('facts', 1, k => 3);
CREATE TABLE empty (id int PRIMARY KEY, body text);
SELECT rag_create_collection('empty', 'empty', 'body');
SELECT asked, recall, access FROM rag_recall('empty');

-- Rights are those of a search, and of the table of questions.
CREATE ROLE evaluate_some;
GRANT SELECT ON facts TO evaluate_some;
SELECT rag_grant('facts', 'evaluate_some');
ALTER TABLE facts ENABLE ROW LEVEL SECURITY;
CREATE POLICY even ON facts USING (id <> 3);
\set VERBOSITY default
SET ROLE evaluate_some;
SELECT * FROM rag_evaluate('facts', 'asked');
SELECT * FROM rag_evaluate('facts');
RESET ROLE;
GRANT SELECT ON asked TO evaluate_some;
SET ROLE evaluate_some;
SELECT recall < 0.7 AS without_three FROM rag_evaluate('facts', 'asked', k => 3) WHERE stage = 'reranked';
SELECT asked, logged FROM rag_recall('facts');
RESET ROLE;
SELECT rag_revoke('facts', 'evaluate_some');
SET ROLE evaluate_some;
SELECT * FROM rag_recall('facts');
SELECT * FROM rag_evaluate('facts', 'asked');
RESET ROLE;
-- Mistakes.
SELECT * FROM rag_evaluate_answers('facts', 'asked');
SELECT * FROM rag_evaluate_answers('facts', 'asked', accepted => 'question', model => 'nobody');
SELECT * FROM rag_evaluate_answers('facts', 'answered', top_k => 0);
CREATE TABLE accepts_nothing (question text, accepted jsonb);
SELECT * FROM rag_evaluate_answers('facts', 'accepts_nothing');
INSERT INTO accepts_nothing VALUES ('Why?', '{"a": 1}');
SELECT * FROM rag_evaluate_answers('facts', 'accepts_nothing');
SELECT * FROM rag_evaluate('facts', 'asked', question => 'colour');
SELECT * FROM rag_evaluate('facts', 'asked', relevant => 'colour');
SELECT * FROM rag_evaluate('facts', 'asked', k => 0);
SELECT * FROM rag_evaluate('facts', 4294967295::regclass);
SELECT * FROM rag_evaluate('nowhere', 'asked');
SELECT * FROM rag_evaluate('empty');
SELECT * FROM rag_recall('facts', 0);
SELECT * FROM rag_recall('facts', k => 1001);
CREATE VIEW wrong AS SELECT 'x'::text AS question, v AS relevant FROM (VALUES ('{"colour": 1}'::jsonb), ('[[1]]'), ('null')) AS t (v);
SELECT * FROM rag_evaluate('facts', 'wrong');
SELECT rag_drop_collection('facts'), rag_drop_collection('empty');
DROP VIEW wrong, evaluate_arrays, answered_json;
DROP TABLE facts, asked, evaluate_questions, empty, answered, accepts_nothing;
DROP OWNED BY evaluate_some;
DROP ROLE evaluate_some;
