-- The cache of question embeddings: the same tokens are the same question, and what is found does not depend on it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE TABLE kept (id int PRIMARY KEY, body text);
INSERT INTO kept VALUES (1, 'VACUUM reclaims storage of dead tuples.'), (2, 'The giraffe is the tallest living animal on land.'), (3, 'Bread is baked from flour and water.');
SELECT rag_create_collection('kept', 'kept', 'body', text_search_config => 'english');
CALL rag_work('kept');
CREATE FUNCTION counted(query text, options text, OUT hits bigint, OUT misses bigint) LANGUAGE plpgsql AS $$
DECLARE before rag.query_cache; behind rag.query_cache;
BEGIN
    SELECT * INTO before FROM rag.query_cache;
    EXECUTE format('SELECT count(*) FROM rag_search(''kept'', %L %s)', query, options);
    SELECT * INTO behind FROM rag.query_cache;
    hits := behind.hits - before.hits;
    misses := behind.misses - before.misses;
END $$;
-- Questions that no other test asks. New, known, known in other spaces and case (the model ignores both), known without token vectors.
SELECT n, hits, misses
  FROM (VALUES (1, 'Which animal of the cache is the tallest?', ''), (2, 'Which animal of the cache is the tallest?', ''), (3, E'  which   ANIMAL of the cache is\nthe tallest? ', ''),
               (4, 'Which animal of the cache is the tallest?', ', rerank => false'), (5, 'Which animal of the cache is not the tallest?', ', rerank => false'),
               (6, 'Which animal of the cache is not the tallest?', ''), (7, 'Which animal of the cache is not the tallest?', ''), (8, 'words alone', ', dense_weight => 0, rerank => false')) AS t (n, query, options),
       LATERAL counted(query, options) ORDER BY n;
-- The second answer is the first one.
SELECT count(*) AS found FROM (SELECT document_key, score, ranks FROM rag_search('kept', 'what is bread made of, once?') EXCEPT ALL SELECT document_key, score, ranks FROM rag_search('kept', 'What is  bread made of, once?')) d;
-- Too long to keep: embedded each time.
SELECT hits, misses FROM (VALUES (1), (2)) AS t (n), LATERAL counted('long ' || repeat('animal of the land ', 30), '') ORDER BY n;
SELECT hits, misses FROM (VALUES (1), (2)) AS t (n), LATERAL counted(repeat('a ', 1500), '') ORDER BY n;
-- It never holds more than it has room for.
SET rag_pg.truncation = silent;
SELECT count(*) FROM generate_series(1, 150) g, LATERAL counted('question number ' || g, ', rerank => false');
SELECT entries <= size AS bounded, entries > 10 AS some, hit_rate BETWEEN 0 AND 1 AS rate FROM rag.query_cache;
SELECT s.query_cache_hit_rate = q.hit_rate AS is_that_of_the_cache FROM rag.status s, rag.query_cache q WHERE s.collection = 'kept';
SELECT rag_drop_collection('kept');
DROP FUNCTION counted;
DROP TABLE kept;
