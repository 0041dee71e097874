-- rag_search: what it finds, whom it shows it, and that no text a user types is an error.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
-- The SQLSTATE, message and hint a statement fails with.
CREATE FUNCTION refused_search(statement text, OUT state text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    message := 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END $$;
CREATE TABLE animals (id int PRIMARY KEY, tenant text NOT NULL, year int, tags text[], body text);
INSERT INTO animals VALUES
    (1, 'zoo', 2019, '{mammal}', 'The giraffe is the tallest living animal on land. It eats leaves of acacia trees.'),
    (2, 'zoo', 2020, '{mammal}', 'Elephants drink up to two hundred litres of water a day and remember places for decades.'),
    (3, 'zoo', 2021, '{bird}', 'The emperor penguin breeds in the antarctic winter. Males keep the egg warm on their feet.'),
    (4, 'farm', 2020, '{mammal}', 'Dairy cows chew the cud for eight hours a day and give about thirty litres of milk.'),
    (5, 'farm', NULL, '{bird}', 'A hen lays an egg nearly every day. It''s warm under her feathers.'),
    (6, 'farm', 2022, '{insect}', 'Honey bees dance to tell their sisters where flowers are; the waggle dance points to them.'),
    (7, 'farm', 2023, NULL, '');
SELECT rag_create_collection('animals', 'animals', 'body', text_search_config => 'english');
CALL rag_work('animals');
SELECT documents, indexed, chunks FROM rag.status WHERE collection = 'animals';

-- The best comes first, with its key, place and ranks; without reranking too.
SELECT ordinal, document_key, left(content, 20) AS content, score > 0 AS scored, metadata FROM rag_search('animals', 'Which animal is the tallest?', 1);
SELECT document_key, ranks ->> 'dense' AS dense, ranks ->> 'lexical' AS lexical, round((ranks ->> 'rrf')::numeric, 4) AS rrf,
       ranks -> 'maxsim' AS maxsim, (ranks ->> 'similarity')::float8 BETWEEN 0 AND 1 AS similarity, (ranks ->> 'bm25')::float8 > 0 AS bm25
  FROM rag_search('animals', 'Which animal is the tallest?', 1, rerank => false);
SELECT (ranks ->> 'maxsim')::float8 BETWEEN 0 AND 1 AS maxsim FROM rag_search('animals', 'Which animal is the tallest?', 1);
SELECT count(*) FROM rag_search('animals', 'egg', 100);
-- The score is that of the signals' standard scores, weighted and added up.
CREATE FUNCTION z(value float8, mean float8, deviation float8) RETURNS float8 LANGUAGE sql AS $$ SELECT coalesce((value - mean) / nullif(deviation, 0), 0) $$;
SELECT rerank, dense, lexical, count(*), max(abs(score - expected)) < 1e-9 AS is_as_documented, bool_and(place = expected_place) AS is_the_order
  FROM (VALUES (true, 1, 1), (false, 1, 1), (false, 2, 0.5), (false, 0, 1), (false, 1, 0), (true, 0, 0.1)) AS o (rerank, dense, lexical)
 CROSS JOIN LATERAL (
    SELECT score, place, expected, row_number() OVER (ORDER BY expected DESC, chunk_id) AS expected_place
      FROM (SELECT score, place, chunk_id,
                   dense * z(similarity, avg(similarity) OVER (), stddev_pop(similarity) OVER ()) + lexical * z(bm25, avg(bm25) OVER (), stddev_pop(bm25) OVER ())
                   + 2 * z(maxsim, avg(maxsim) OVER (), stddev_pop(maxsim) OVER ()) AS expected
              FROM (SELECT score, place, chunk_id, (ranks ->> 'similarity')::float8 AS similarity, (ranks ->> 'bm25')::float8 AS bm25, (ranks ->> 'maxsim')::float8 AS maxsim
                      FROM rag_search('animals', 'which birds lay an egg?', 100, rerank => rerank, dense_weight => dense, lexical_weight => lexical)
                      WITH ORDINALITY AS s (chunk_id, key, ordinal, content, score, metadata, ranks, relevance, query_id, place)) AS found) AS scored) AS ordered
 GROUP BY rerank, dense, lexical ORDER BY rerank, dense, lexical;
-- A leg alone.
SELECT document_key, ranks -> 'dense' AS dense, ranks -> 'lexical' AS lexical FROM rag_search('animals', 'litres', dense_weight => 0, rerank => false);
SELECT document_key FROM rag_search('animals', 'a bird of the South Pole', 1, lexical_weight => 0, rerank => false);
-- Phrases must occur, excluded words must not; a phrase nobody has is words.
SELECT document_key FROM rag_search('animals', '"waggle dance"');
SELECT document_key FROM rag_search('animals', 'egg -penguin', rerank => false, syntax => 'web') WHERE content ~ 'penguin|egg' ORDER BY 1;
SELECT document_key FROM rag_search('animals', 'dance -"waggle dance"', syntax => 'web') WHERE content ~ 'dance';
SELECT document_key FROM rag_search('animals', '"dance of the honey bees"', 1);
SET client_min_messages = notice;
SELECT document_key FROM rag_search('animals', 'waggle "of the" -and', 1, syntax => 'web');
SET client_min_messages = warning;
-- Any text is fine.
SELECT text, (SELECT count(*) > 0 FROM rag_search('animals', text)) AS found
  FROM (VALUES ('''') , ('\'), ('&|!():*<->'), ('a & | b'), ('"'), ('""'), ('-'), ('the of and'), ('!!!'), ('égg 蛋 🥚'),
               ('-penguin'), (':*'), ('egg:*'), ('''egg'), ('egg\'), ($$'); DROP TABLE animals; --$$), ('%s {} $1')) AS t (text);
SET rag_pg.truncation = silent;
SELECT count(*) > 0 AS found FROM rag_search('animals', repeat('egg ', 300000));
SELECT count(*) >= 0 AS found FROM rag_search('animals', repeat('x', 1000000));
RESET rag_pg.truncation;
SELECT count(*) FROM rag_search('animals', NULL);
SELECT count(*) FROM rag_search(NULL, 'egg');

-- Filters.
SELECT filter, (SELECT array_agg(document_key ->> 'id' ORDER BY document_key ->> 'id') FROM rag_search('animals', 'egg water dance tallest milk', 10, filter)) AS ids
  FROM (VALUES ('{}'::jsonb), ('{"tenant": "farm"}'), ('{"id": 3}'), ('{"id": [1, 3, 99]}'), ('{"id": []}'), ('{"year": null}'),
               ('{"year": [2019, null]}'), ('{"year": {"gte": 2020, "lt": 2022}}'), ('{"year": {"ne": 2020}}'), ('{"year": {"exists": false}}'),
               ('{"or": [{"id": 1}, {"tenant": "farm", "year": 2020}]}'), ('{"not": {"tenant": "zoo"}}'), ('{"tags": "{bird}"}'),
               ('{"page": {"exists": true}}'), ('{"section": null, "tenant": "zoo"}'), ('{"tenant": "o''brien"}')) AS t (filter);
SELECT s.* FROM unnest(ARRAY[
    $$SELECT * FROM rag_search('animals', 'egg', filter => '[1]')$$,
    $$SELECT * FROM rag_search('animals', 'egg', filter => '"x"')$$,
    $$SELECT * FROM rag_search('animals', 'egg', filter => '{"colour": "red"}')$$,
    $$SELECT * FROM rag_search('animals', 'egg', filter => '{"id": "three"}')$$,
    $$SELECT * FROM rag_search('animals', 'egg', filter => '{"id": {"like": 1}}')$$,
    $$SELECT * FROM rag_search('animals', 'egg', filter => repeat('{"not":', 200)::text || '{}' || repeat('}', 200))$$,
    $$SELECT * FROM rag_search('animals', 'egg', filter => (repeat('{"not":', 200) || '{}' || repeat('}', 200))::jsonb)$$,
    $$SELECT * FROM rag_search('animals', 'egg', filter => '{"section": {"gt": "a"}}')$$,
    $$SELECT * FROM rag_search('nowhere', 'egg')$$,
    $$SELECT * FROM rag_search('animals', '  ')$$,
    $$SELECT * FROM rag_search('animals', 'egg', 0)$$,
    $$SELECT * FROM rag_search('animals', 'egg', 1001)$$,
    $$SELECT * FROM rag_search('animals', 'egg', depth => 0)$$,
    $$SELECT * FROM rag_search('animals', 'egg', dense_weight => -1)$$,
    $$SELECT * FROM rag_search('animals', 'egg', dense_weight => 'NaN')$$,
    $$SELECT * FROM rag_search('animals', 'egg', dense_weight => 0, lexical_weight => 0)$$
]) AS statement, refused_search(statement) s;

-- What was deleted is gone at once, for search and view, before any worker saw it.
BEGIN;
DELETE FROM animals WHERE id = 1;
SELECT count(*) FROM rag_search('animals', 'Which animal is the tallest?') WHERE content ~ 'giraffe';
SELECT count(*) FROM animals_chunks WHERE id = 1;
ROLLBACK;
-- It reads and nothing else.
BEGIN READ ONLY;
SELECT document_key FROM rag_search('animals', 'Which animal is the tallest?', 1);
COMMIT;

-- Roles. Search needs the grant, and the right to read keys and text of the source.
CREATE ROLE search_zoo;
CREATE ROLE search_farm;
CREATE ROLE search_keys;
SET ROLE search_zoo;
SELECT * FROM refused_search($$SELECT * FROM rag_search('animals', 'egg')$$);
SELECT * FROM refused_search($$SELECT rag_grant('animals', 'search_zoo')$$);
RESET ROLE;
SELECT rag_grant('animals', 'search_zoo'), rag_grant('animals', 'search_farm'), rag_grant('animals', 'search_keys');
GRANT SELECT (id) ON animals TO search_keys;
SET ROLE search_keys;
SELECT * FROM refused_search($$SELECT * FROM rag_search('animals', 'egg')$$);
SELECT * FROM refused_search($$SELECT * FROM animals_chunks$$);
RESET ROLE;
GRANT SELECT ON animals TO search_zoo, search_farm;
ALTER TABLE animals ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON animals USING ('search_' || tenant = current_user);
SET ROLE search_zoo;
SELECT document_key FROM rag_search('animals', 'egg milk dance', 10) ORDER BY document_key ->> 'id';
SELECT document_key FROM rag_search('animals', 'egg milk dance', 10, '{"not": {"tenant": "zoo"}}');
SELECT id FROM animals_chunks ORDER BY id;
PREPARE searching AS SELECT document_key FROM rag_search('animals', 'egg milk dance', 10) ORDER BY document_key ->> 'id';
EXECUTE searching;
RESET ROLE;
SET ROLE search_farm;
EXECUTE searching;
RESET ROLE;
-- A policy that names something through the caller's search path means the caller's.
CREATE SCHEMA one;
CREATE SCHEMA two;
CREATE FUNCTION one.visible(text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT $1 = 'zoo' $$;
CREATE FUNCTION two.visible(text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT $1 = 'farm' $$;
GRANT USAGE ON SCHEMA one, two TO search_zoo;
ALTER POLICY tenant ON animals USING (CASE WHEN current_setting('search_path') ~ 'one' THEN one.visible(tenant) ELSE two.visible(tenant) END);
SET ROLE search_zoo;
SET search_path = one, public;
SELECT array_agg(document_key ->> 'id' ORDER BY document_key ->> 'id') FROM rag_search('animals', 'egg', 10);
SET search_path = two, public;
SELECT array_agg(document_key ->> 'id' ORDER BY document_key ->> 'id') FROM rag_search('animals', 'egg', 10);
RESET search_path;
RESET ROLE;
SELECT rag_revoke('animals', 'search_zoo');
SET ROLE search_zoo;
SELECT state FROM refused_search($$SELECT * FROM rag_search('animals', 'egg')$$);
RESET ROLE;

-- Odd names, keys of several columns and types, no token bits, no text search configuration to speak of.
CREATE SCHEMA "odd ""schema";
CREATE TABLE "odd ""schema"."ta ble" ("k 1" uuid, "K'2" date, "select" bigint, "te""xt" varchar(200), PRIMARY KEY ("k 1", "K'2", "select"));
INSERT INTO "odd ""schema"."ta ble" VALUES
    ('00000000-0000-0000-0000-000000000001', '2026-01-31', 9007199254740993, 'Vacuum removes dead tuples.'),
    ('00000000-0000-0000-0000-000000000002', '2026-02-28', 2, 'Indexes make reading quicker and writing slower.');
SELECT rag_create_collection('odd', '"odd ""schema"."ta ble"', 'te"xt', token_bits => false, text_search_config => 'simple', index => 'none');
CALL rag_work('odd');
SELECT document_key, ranks -> 'maxsim' AS maxsim FROM rag_search('odd', 'dead tuples', 1);
SELECT document_key ->> 'select' AS key FROM rag_search('odd', 'tuples', 5, '{"select": 9007199254740993, "k 1": "00000000-0000-0000-0000-000000000001", "K''2": {"lt": "2026-02-01"}}');

-- Texts that PostgreSQL keeps out of line or compressed.
CREATE TABLE long (id text PRIMARY KEY, body text);
INSERT INTO long VALUES
    ('out of line', (SELECT string_agg(sha512(n::text::bytea)::text || sha512((-n)::text::bytea), ' ' ORDER BY n) FROM generate_series(1, 40) n)),
    ('compressed', repeat(repeat('z', 300) || ' ', 20));
SELECT rag_create_collection('long', 'long', 'body', index => 'none');
CALL rag_work('long');
SELECT s.document_key ->> 'id' AS id, bool_and(s.content = c.content) AS is_whole,
       max(pg_column_size(c.content)) > 2000 AS is_long, bool_and(pg_column_size(c.content) < length(c.content) / 2) AS is_compressed
  FROM rag_search('long', 'zzz', 20) s JOIN long_chunks c USING (chunk_id) GROUP BY 1 ORDER BY 1;
SELECT rag_drop_collection('long');
DROP TABLE long;

SELECT rag_drop_collection('odd'), rag_drop_collection('animals');
DROP SCHEMA "odd ""schema" CASCADE;
DROP TABLE animals;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION refused_search, z;
DROP OWNED BY search_zoo, search_farm, search_keys;
DROP ROLE search_zoo, search_farm, search_keys;
