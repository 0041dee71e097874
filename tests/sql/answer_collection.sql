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
-- Mistakes.
\set VERBOSITY default
SELECT * FROM rag_answer('What is the tallest animal?', '{"The giraffe is.","The emperor penguin is not."}');
SELECT * FROM rag_answer('guide', '');
SELECT * FROM rag_answer('guide', 'What?', 0);
SELECT * FROM rag_answer('guide', 'What?', model => 'gpt');
SELECT rag_drop_collection('guide');
DROP TABLE guide;
DROP ROLE answer_reader;
