-- Full text search in scripts without spaces: a word inside of a sentence is found, by whatever configuration uses
-- PostgreSQL's own parser; a parser of somebody else's is left to its work.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE TABLE cities (id int PRIMARY KEY, body text);
INSERT INTO cities VALUES
    (1, '東京都は日本の首都であり、世界最大の都市圏を持つ。'),
    (2, '京都には多くの寺院と神社がある。'),
    (3, '北京是中华人民共和国的首都。'),
    (4, 'กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย'),
    (5, 'เชียงใหม่อยู่ทางภาคเหนือของประเทศไทย'),
    (6, '私は猫と犬を飼っている。PostgreSQLの設定は難しい。'),
    (7, '서울은 대한민국의 수도이다.'),
    (8, 'Berlin is the capital of Germany.');
SELECT rag_create_collection('cities', 'cities', 'body', text_search_config => 'simple', format => 'plain');
CALL rag_work('cities');
CREATE FUNCTION found(query text) RETURNS int[] LANGUAGE sql AS $$
    SELECT array_agg((document_key ->> 'id')::int) FROM rag_search('cities', query, 8, rerank => false, dense_weight => 0, syntax => 'web') $$;
SELECT query, found(query) FROM unnest(ARRAY['首都', '日本の首都', '京都', '寺院', '猫', '設定', 'postgresql', '设定', 'เมืองหลวง', 'เชียงใหม่', 'ประเทศไทย', '대한민국의', '수도', 'capital', '都', '犬 capital']) query;
-- Phrases, and what must not occur.
SELECT query, found(query) FROM unnest(ARRAY['"日本の首都"', '"首都日本" 寺院', '首都 -東京', '首都 -日本', '"PostgreSQLの設定"', 'ประเทศไทย -เชียงใหม่', '“神社” 京都']) query;
-- BM25 prefers who has more of the question, and a rare piece to a common one.
SELECT (found('京都の寺院と神社'))[1] AS first;
SELECT leg -> 'wanted' AS wanted FROM rag_explain('cities', '首都はどこ', 1, rerank => false), jsonb_array_elements(search -> 'legs') leg WHERE leg ->> 'leg' = 'lexical' LIMIT 1;
SELECT rag.search_text('simple', 'the 首都 is 猫'), rag.search_text('english', 'no such script'), rag.search_text('simple', NULL);
-- A parser of another's making.
CREATE TEXT SEARCH PARSER own (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH CONFIGURATION own (PARSER = own);
ALTER TEXT SEARCH CONFIGURATION own ADD MAPPING FOR word, asciiword WITH simple;
SELECT rag.search_text('own', '東京都は');
SELECT rag_create_collection('own', 'cities', 'body', text_search_config => 'own', format => 'plain');
CALL rag_work('own');
SELECT query, (SELECT array_agg((document_key ->> 'id')::int) FROM rag_search('own', query, 8, rerank => false, dense_weight => 0)) FROM unnest(ARRAY['首都', '京都には多くの寺院と神社がある。', 'capital']) query;
SELECT rag_drop_collection('own'), rag_drop_collection('cities');
DROP TEXT SEARCH CONFIGURATION own;
DROP TEXT SEARCH PARSER own;
DROP FUNCTION found;
DROP TABLE cities;
