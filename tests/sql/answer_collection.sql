-- rag_answer on a collection: quotes with their places, or the admission that nothing fits.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE TABLE guide (id int PRIMARY KEY, lang text, body text);
INSERT INTO guide VALUES
    (1, 'en', E'# Vacuum\n\nVACUUM reclaims storage occupied by dead tuples. It should run often on tables that change a lot. Autovacuum does so by itself.\n\n'
           || E'# Analyze\n\nANALYZE collects statistics about the contents of tables. The planner uses these statistics.'),
    (2, 'en', 'The giraffe is the tallest living animal on land. Giraffes eat leaves of acacia trees. — Ünïcödé before: «the tongue of a giraffe is blue».'),
    (3, 'de', 'Die Giraffe ist das höchste landlebende Tier.');
SELECT rag_create_collection('guide', 'guide', 'body', text_search_config => 'english');
CALL rag_work('guide');
SELECT status, answer ~ '^The giraffe is the tallest living animal on land\. \[1\]' AS answered, confidence BETWEEN 0 AND 1 AS confidence,
       citations -> 0 ->> 'quote' AS quote, citations -> 0 -> 'document_key' AS key
  FROM rag_answer('guide', 'What is the tallest animal?');
-- No text is an error, also one that is no word to the model.
SELECT status, citations, confidence FROM rag_answer('guide', U&'\200B');
-- Every marker has its citation, every quote stands where it says.
SELECT q.question, a.status, bool_and(a.answer LIKE '%[' || (c ->> 'marker') || ']%') AS is_marked,
       bool_and(c ->> 'quote' = substr(g.body, (c ->> 'char_start')::int + 1, (c ->> 'char_end')::int - (c ->> 'char_start')::int)) AS is_verbatim
  FROM (VALUES ('What does VACUUM do?'), ('What colour is the tongue of a giraffe?'), ('What uses statistics?')) AS q (question)
 CROSS JOIN LATERAL rag_answer('guide', q.question) a
 CROSS JOIN LATERAL jsonb_array_elements(a.citations) c
  JOIN guide g ON g.id = (c -> 'document_key' ->> 'id')::int
 GROUP BY 1, 2 ORDER BY 1;
SELECT citations -> 0 -> 'section' AS section FROM rag_answer('guide', 'What does ANALYZE collect?');
-- Nothing fits.
SELECT * FROM rag_answer('guide', 'Who won the football world cup of 1954?') AS a (answer, citations, status, confidence);
SELECT status, citations FROM rag_answer('guide', 'What is the tallest animal?', filter => '{"lang": "fr"}');
SELECT citations -> 0 -> 'document_key' AS key FROM rag_answer('guide', 'Giraffe', 3, '{"lang": ["de", "fr"]}');
SELECT * FROM rag_answer('guide', NULL::text);
-- A question that follows others takes its topic from them; searches and explanations do, too, and the log tells.
SELECT status, answer ~ 'Autovacuum does so by itself' AS found FROM rag_answer('guide', 'And does it run by itself?', history => '[{"role": "user", "content": "What does VACUUM do?"}]');
SELECT content ~ 'acacia' AS found FROM rag_search('guide', 'What do they eat?', 1, history => '[{"role": "user", "content": "What is the tallest animal?"}, {"role": "assistant", "content": "It is the Giraffe."}]');
SELECT line FROM rag_explain_text('guide', 'What do they eat?', history => '[{"role": "user", "content": "How tall is a giraffe?"}]') AS line WHERE line ~ 'history';
SELECT count(*) FROM rag_explain_text('guide', 'What do giraffes eat?', history => '[{"role": "user", "content": "How tall is a giraffe?"}]') AS line WHERE line ~ 'history';
SET rag_pg.query_log_sample = 1;
SELECT status FROM rag_answer('guide', 'What do they eat?', history => '[{"role": "user", "content": "How tall is a giraffe?"}]');
RESET rag_pg.query_log_sample;
SELECT query, options FROM rag.query_log WHERE collection = 'guide' AND options ? 'standalone';
-- Printed, with footnotes.
SELECT answer ~ '\[\^1\]: 2, characters 0 to [0-9]+: "The giraffe is the tallest living animal on land\.' AS has_footnote FROM rag_answer('guide', 'What is the tallest animal?', format => 'markdown');
-- Who may see a document may be answered from it.
CREATE ROLE answer_reader;
SELECT rag_grant('guide', 'answer_reader');
GRANT SELECT ON guide TO answer_reader;
ALTER TABLE guide ENABLE ROW LEVEL SECURITY;
CREATE POLICY german ON guide TO answer_reader USING (lang = 'de');
SET ROLE answer_reader;
SELECT DISTINCT c -> 'document_key' AS key FROM rag_answer('guide', 'What does VACUUM do?') a, jsonb_array_elements(a.citations) c
UNION SELECT DISTINCT c -> 'document_key' FROM rag_answer('guide', 'Giraffe') a, jsonb_array_elements(a.citations) c;
RESET ROLE;
-- With neighbours: what stands around a chunk that was found may be quoted too, each sentence once although chunks overlap,
-- from the chunk it stands in and verbatim.
CREATE TABLE steps (id int PRIMARY KEY, body text);
INSERT INTO steps VALUES (1, 'Workers — Ünïcödé first — arrive at dawn and drink tea. They walk to the old mill by the river. '
    || 'The flux manifold is opened with a brass spanner. The spanner hangs behind the green door. Its handle is wrapped in leather. '
    || 'After that the manifold must cool for two hours. Everybody eats lunch on the meadow. In the evening the lamps are lit. Nobody stays overnight.'),
    (2, 'A letter about the weather in the mountains. It rained for many days and the roads were closed.');
SELECT rag_create_collection('steps', 'steps', 'body', text_search_config => 'english', max_tokens => 28, overlap_tokens => 14, format => 'plain');
CALL rag_work('steps');
SELECT count(*) > 4 AS chunks, bool_or(char_start < previous_end) AS overlap FROM (SELECT char_start, lag(char_end) OVER (ORDER BY ordinal) AS previous_end FROM steps_chunks WHERE id = 1) c;
CREATE FUNCTION quotes() RETURNS TABLE (expand int, quoted bigint, verbatim boolean, in_chunk boolean, once boolean, beside boolean) LANGUAGE sql AS $$
    SELECT n, count(*), bool_and(c ->> 'quote' = substr(s.body, (c ->> 'char_start')::int + 1, (c ->> 'char_end')::int - (c ->> 'char_start')::int)),
           bool_and(k.char_start <= (c ->> 'char_start')::int AND (c ->> 'char_end')::int <= k.char_end),
           count(DISTINCT c ->> 'quote') = count(*), bool_or((c ->> 'chunk_id')::bigint <> f.chunk_id)
      FROM generate_series(0, 9) n
     CROSS JOIN (SELECT chunk_id FROM rag_search('steps', 'How is the flux manifold opened, and where is the spanner?', 1)) f
     CROSS JOIN LATERAL rag_answer('steps', 'How is the flux manifold opened, and where is the spanner?', 1, expand => n) a
     CROSS JOIN LATERAL jsonb_array_elements(a.citations) c
      JOIN steps s ON s.id = (c -> 'document_key' ->> 'id')::int
      JOIN steps_chunks k ON k.chunk_id = (c ->> 'chunk_id')::bigint
     GROUP BY n ORDER BY n
$$;
SELECT * FROM quotes() WHERE expand IN (0, 1, 2, 9);
SELECT c ->> 'quote' AS quote FROM rag_answer('steps', 'How is the flux manifold opened, and where is the spanner?', 1, expand => 1) a, jsonb_array_elements(a.citations) c;
-- The same without stored bits, which are computed then.
SELECT rag_rebuild('steps', token_bits => false) > 0 AS is_built;
CALL rag_work('steps');
SELECT rag_switch('steps') > 0 AS is_switched;
SELECT * FROM quotes() WHERE expand IN (0, 1, 9);
SELECT * FROM rag_answer('steps', 'What?', expand => -1);
SELECT * FROM rag_answer('steps', 'What?', expand => 101);
SELECT rag_drop_collection('steps');
DROP FUNCTION quotes();
DROP TABLE steps;
-- Mistakes.
\set VERBOSITY default
SELECT * FROM rag_answer('What is the tallest animal?', '{"The giraffe is.","The emperor penguin is not."}');
SELECT * FROM rag_answer('guide', '');
SELECT * FROM rag_answer('guide', 'What?', 0);
SELECT * FROM rag_answer('guide', 'What?', model => 'gpt');
SELECT rag_drop_collection('guide');
DROP TABLE guide;
DROP ROLE answer_reader;
