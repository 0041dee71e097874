-- A language of which the model's vocabulary has no words: creating a collection says so, searches rely on words, and answers are not judged.
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE TABLE cities (id int PRIMARY KEY, body text);
INSERT INTO cities VALUES
  (1, 'Тверь стоит на Волге. Через город проходит дорога из Москвы.'),
  (2, 'Томск стоит на реке Томи. В городе много деревянных домов.'),
  (3, NULL),
  (4, 'Псков основан в десятом веке. Кремль стоит над рекой Великой.');
SELECT rag_create_collection('cities', 'cities', 'body', text_search_config => 'russian');
CALL rag_work('cities');
SELECT search -> 'weights' ->> 'dense' AS dense, search -> 'weights' ->> 'rerank' AS rerank FROM rag_explain('cities', 'Что стоит на Волге?') LIMIT 1;
SELECT search -> 'weights' ->> 'dense' AS dense FROM rag_explain('cities', 'Что стоит на Волге?', dense_weight => 3) LIMIT 1;
SELECT search -> 'weights' ->> 'dense' AS dense FROM rag_explain('cities', 'Where is Volga?') LIMIT 1;
SELECT document_key FROM rag_search('cities', 'деревянные дома', 1);
SELECT answer, citations, status, usage -> 'judged' AS judged, usage -> 'refused' ->> 'quote' AS nearest, usage -> 'refused' -> 'document_key' AS of
  FROM rag_answer('cities', 'Какой город стоит на Волге?');
SET rag_pg.answer_threshold = -1;
SELECT answer, status, usage -> 'judged' AS judged FROM rag_answer('cities', 'Какой город стоит на Волге?');
RESET rag_pg.answer_threshold;
-- Bare passages.
SELECT answer, citations, status, usage -> 'judged' AS judged, usage -> 'refused' ->> 'quote' AS nearest
  FROM rag_answer('Какой город стоит на Волге?', ARRAY['Тверь стоит на Волге.', 'Томск стоит на реке Томи.']);
SELECT answer, status, usage -> 'judged' AS judged FROM rag_answer('Какой город стоит на Волге?', ARRAY[NULL, ' ']);
SELECT answer, status, usage -> 'judged' AS judged FROM rag_answer('¿Qué ciudad está en el Volga?', ARRAY['La ciudad de Tver está en el Volga.']);
-- Neither English nor other languages in Latin letters, nor texts of few letters, are warned of.
CREATE TABLE others (id int PRIMARY KEY, body text);
SELECT rag_create_collection('none', 'others', 'body');
INSERT INTO others VALUES (1, 'x = 1, y = 2'), (2, 'Der Kühlschrank fällt auf.'), (3, 'Příliš žluťoučký kůň'), (4, '2332-71'), (5, 'Tver is called Тверь.');
SELECT rag_create_collection('latin', 'others', 'body', text_search_config => 'simple');
TRUNCATE others;
-- The others that it has no words of.
INSERT INTO others SELECT n, text FROM unnest(ARRAY['서울은 한국의 수도이다', 'โรมเป็นเมืองหลวงของอิตาลี', 'दिल्ली भारत की राजधानी है', 'القاهرة عاصمة مصر', '北京是中国的首都', '東京は日本の首都です', 'Η Αθήνα είναι πρωτεύουσα']) WITH ORDINALITY AS t (text, n);
SELECT id, status, usage -> 'judged' AS judged FROM others, rag_answer(body, ARRAY[body]) ORDER BY id;
SELECT rag_create_collection('scripts', 'others', 'body', text_search_config => 'simple');
SELECT rag_drop_collection(name) FROM unnest(ARRAY['cities', 'none', 'latin', 'scripts']) AS name;
DROP TABLE cities, others;
