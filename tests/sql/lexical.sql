-- Another extension's BM25 in place of ours, as far as it goes without one: what is said where it is missing, and the
-- text that such an index gets. With them: tests/t/055_lexical.pl.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE SCHEMA lexical;
CREATE TABLE lexical.notes (id int PRIMARY KEY, body text);
INSERT INTO lexical.notes SELECT i, format('Note %s is about locks.', i) FROM generate_series(1, 9) i;
SELECT rag_create_collection('lexical', 'lexical.notes', 'body', lexical => 'lucene');
SELECT rag_create_collection('lexical', 'lexical.notes', 'body', lexical => 'vector');
SELECT rag_create_collection('lexical', 'lexical.notes', 'body', lexical => '');
SELECT rag_create_collection('lexical', 'lexical.notes', 'body', lexical => 'pg_textsearch');
SELECT rag_create_collection('lexical', 'lexical.notes', 'body', lexical => 'pg_search');
SELECT count(*) FROM rag.collection WHERE name = 'lexical';
-- NULL is the default.
SELECT rag_create_collection('lexical', 'lexical.notes', 'body', lexical => NULL, text_search_config => 'english');
CALL rag_work('lexical');
-- An owner's indexes over the lexemes are left alone.
SELECT chunks FROM rag.generation JOIN rag.collection USING (collection_id) WHERE name = 'lexical' \gset
CREATE INDEX in_order ON :chunks (lexemes);
CREATE INDEX by_parts ON :chunks USING gist (lexemes);
INSERT INTO lexical.notes VALUES (10, 'Note 10 is about buffers.');
CALL rag_work('lexical');
SELECT content FROM rag_search('lexical', 'buffers', top_k => 1);
SELECT problem, action FROM rag_verify('lexical') WHERE problem ~ 'index';
DROP INDEX lexical.in_order, lexical.by_parts;
DELETE FROM lexical.notes WHERE id = 10;
CALL rag_work('lexical');
SELECT rag_rebuild('lexical', lexical => 'pg_search');
SELECT * FROM rag_estimate('lexical', lexical => 'pg_textsearch');
SELECT bytes > 0 AS has_bytes FROM rag_estimate('lexical', lexical => 'builtin');
SELECT collection, state, lexical FROM rag.generation_status WHERE collection = 'lexical';
-- Nothing more is stored without another engine.
SELECT count(*) FROM pg_attribute a JOIN rag.generation g ON a.attrelid = g.chunks JOIN rag.collection c USING (collection_id)
 WHERE c.name = 'lexical' AND attname = 'words';
SELECT DISTINCT search ->> 'lexical' AS lexical FROM rag_explain('lexical', 'locks');
SELECT * FROM rag_verify('lexical') WHERE problem ~ 'index|extension';

-- A generation whose engine is gone: the built-in index serves, and it says so.
UPDATE rag.generation g SET lexical = 'pg_search' FROM rag.collection c WHERE c.collection_id = g.collection_id AND c.name = 'lexical';
SELECT count(*) FROM rag_search('lexical', 'note 7', top_k => 3);
SELECT DISTINCT search ->> 'lexical' AS lexical, search -> 'notes' AS notes FROM rag_explain('lexical', 'note 7', rerank => false);
SELECT * FROM rag_verify('lexical', repair => true) WHERE problem ~ 'index|extension';
-- Another generation would have the same engine, unless told otherwise.
SELECT rag_rebuild('lexical');
SELECT count(*) FROM rag_estimate('lexical', lexical => 'builtin');
\set VERBOSITY terse
UPDATE rag.generation SET lexical = 'lucene';
\set VERBOSITY default

-- Lexemes as words that every tokenizer leaves alone.
SELECT rag.lexeme_words(to_tsvector('english', 'The cats of Löwenmut eat cat-food, cats'));
SELECT rag.lexeme_words(''), rag.lexeme_words(NULL) IS NULL AS is_null, rag.lexeme_words(to_tsvector('simple', 'x0 x07830 X0'));
-- The parser of pg_textsearch's configuration finds the very same words in it.
SELECT length(v) AS lexemes, length(to_tsvector('simple', rag.lexeme_words(v))) AS words
  FROM (SELECT array_to_tsvector(array_agg(DISTINCT w)) FROM unnest(ARRAY ['a b', 'it''s', 'http://x.y/z?a=1', 'ab-cd', '-1.5e7', 'λ', '日本', E'\t', repeat('é', 700), 'x0e9', 'é']) w) AS t (v);
SELECT rag_drop_collection('lexical');
