-- How relevant results are, whatever else is found, and what calibration makes of a model that does not know the language.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE TABLE topic (id int PRIMARY KEY, body text);
INSERT INTO topic VALUES (1, 'A savepoint marks a place inside a transaction. ROLLBACK TO SAVEPOINT undoes all that came after it.');
SELECT rag_create_collection('topic', 'topic', 'body', text_search_config => 'english');
CALL rag_work('topic');
-- A single perfect hit has no score, but is relevant. What has nothing to do with a question is not, though it is the best.
SELECT score, relevance > 0.8 AS is_relevant FROM rag_search('topic', 'How do I undo all after a savepoint of a transaction?');
SELECT relevance BETWEEN 0 AND 0.3 AS is_stranger FROM rag_search('topic', 'Which giraffe is the tallest in the zoo?');
SELECT count(*) FROM rag_search('topic', 'Which giraffe is the tallest in the zoo?', min_relevance => 0.5);
SELECT count(*) FROM rag_search('topic', 'savepoint of a transaction', min_relevance => 0.5);
SELECT kept, regexp_replace(reason, '0\.\d+', 'N') AS reason, relevance < 0.5 AS is_less FROM rag_explain('topic', 'Which giraffe is the tallest in the zoo?', min_relevance => 0.5);
-- By words alone, and by the vector alone.
SELECT relevance > 0.5 AS words FROM rag_search('topic', 'savepoint', dense_weight => 0, rerank => false);
SELECT relevance > 0.5 AS vector FROM rag_search('topic', 'How do I undo all after a savepoint of a transaction?', lexical_weight => 0, rerank => false);
SELECT relevance FROM rag_search('topic', 'savepoint', min_relevance => 1.5);
SELECT relevance FROM rag_search('topic', 'savepoint', min_relevance => 'NaN');
-- It is too small to be calibrated.
SELECT calibration IS NULL AS is_unknown FROM rag.generation_status WHERE collection = 'topic';
SELECT DISTINCT search -> 'weights' AS weights FROM rag_explain('topic', 'savepoint of a transaction');
-- Codes are found by their words.
SELECT DISTINCT search -> 'weights' AS weights FROM rag_explain('topic', 'ab12cd');
SELECT DISTINCT search -> 'weights' AS weights FROM rag_explain('topic', 'ab12cd', dense_weight => 1, rerank_weight => 2);

-- Texts in a language that the model does not know: names of places are words that tell them apart.
CREATE TABLE place (id int PRIMARY KEY, body text);
INSERT INTO place
SELECT i, format('Город %1$s стоит на берегу реки %2$s. В городе %1$s много старых домов. Река %2$s течёт с гор на север. Дорога из города %1$s идёт вдоль реки %2$s.',
                 a || b || 'ск', b || a || 'ва')
  FROM (SELECT i, (ARRAY['бар', 'вол', 'гор', 'дуб', 'зим', 'кам', 'лес', 'мор', 'нив', 'пол', 'руд', 'сос'])[1 + i % 12] AS a,
               (ARRAY['ан', 'ет', 'ил', 'ож', 'ур', 'ын', 'юк', 'яш', 'ел', 'ис'])[1 + i / 12] AS b
          FROM generate_series(0, 119) i) AS n;
SELECT rag_create_collection('place', 'place', 'body', text_search_config => 'russian');
CALL rag_work('place');
SELECT key AS script, (value ->> 'questions')::int >= 24 AS were_enough, (value ->> 'model_weight')::float8 < 1 AS is_less,
       (value -> 'found' ->> 'lexical')::float8 > (value -> 'found' ->> 'dense')::float8 AS words_find_more, value -> 'relevance' -> 'max_sim' ->> 'weight' AS judges
  FROM rag.generation_status, jsonb_each(calibration) WHERE collection = 'place';
SELECT calibrated_chunks, calibrating_until FROM rag.generation g JOIN rag.collection c USING (collection_id) WHERE c.name = 'place';
-- Searches go by it, in that script only, and where no weight is given.
SELECT query, (search -> 'weights' ->> 'dense')::float8 < 1 AS dense, (search -> 'weights' ->> 'rerank')::float8 < 2 AS rerank, search -> 'weights' -> 'lexical' AS lexical
  FROM unnest(ARRAY['Где стоит город Волетск?', 'Where is the town?']) query, LATERAL (SELECT search FROM rag_explain('place', query) LIMIT 1) AS e;
SELECT search -> 'weights' AS weights FROM rag_explain('place', 'Где стоит город Волетск?', dense_weight => 1, rerank_weight => 3) LIMIT 1;
SELECT content LIKE 'Город волетск %' AS is_found, relevance > 0.5 AS is_relevant FROM rag_search('place', 'Где стоит город Волетск?', 1);
SELECT count(*) FROM rag_search('place', 'Почему кошка боится собаку?', min_relevance => 0.5);
-- What it does not hear it does not judge.
SELECT status, usage -> 'judged' AS judged FROM rag_answer('place', 'Где стоит город Волетск на реке Етволва?');
SET rag_pg.answer_threshold = -1;
SELECT status, usage -> 'judged' AS judged FROM rag_answer('place', 'Почему кошка боится собаку?');
-- Of texts that calibration finds the model worth little for, though it has words for them, words judge answers too.
SET rag_pg.answer_threshold = -0.9;
UPDATE rag.generation SET calibration = jsonb_set(jsonb_build_object('latin', calibration -> 'cyrillic'), '{latin,model_weight}', '0.05') WHERE chunks::text LIKE '%place%';
UPDATE rag.generation g SET calibration = p.calibration FROM rag.generation p WHERE g.chunks::text LIKE '%topic%' AND p.chunks::text LIKE '%place%';
SELECT query, status, usage -> 'judged' AS judged
  FROM unnest(ARRAY['Which giraffe is the tallest in the zoo?', 'How do I undo all after a savepoint of a transaction?']) query, rag_answer('topic', query);
UPDATE rag.generation SET calibration = NULL;
SELECT status FROM rag_answer('topic', 'Which giraffe is the tallest in the zoo?');
RESET rag_pg.answer_threshold;
SELECT rag_drop_collection(name) FROM rag.collection WHERE name IN ('topic', 'place') ORDER BY name;
DROP TABLE topic, place;
