-- rag_answer on bare passages: quotes, markers, places, and saying so when nothing fits.
SET client_min_messages = warning;
-- The SQLSTATE, message and hint a statement fails with.
CREATE FUNCTION refused(statement text, OUT state text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    message := 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END $$;
CREATE TABLE passages AS SELECT ARRAY[
    'The Eiffel Tower was finished in 1889. It was built for the world fair in Paris. At first many disliked it.',
    NULL,
    'Checkpoints bound the time of recovery. During a checkpoint, dirty pages – Größe 8 kB – are written to disk. The process that does so is the checkpointer.',
    'Sourdough rises slowly because of wild yeast. It tastes sour.'] AS documents;
SELECT answer, status FROM passages, rag_answer('When was the Eiffel Tower finished?', documents);
SELECT answer FROM rag_answer('Who wrote it?', ARRAY['The book was written by Ann Lee in 1902.']);
-- Citations: where each quote stands, with the array's numbers.
SELECT c.* FROM passages, rag_answer('Which pages are written during a checkpoint?', documents),
       jsonb_to_recordset(citations) AS c (marker int, passage int, quote text, char_start int, char_end int);
SELECT status, jsonb_array_length(citations) BETWEEN 1 AND 3 AS is_short, confidence > 0.4 AS is_confident
  FROM passages, rag_answer('Which pages are written during a checkpoint?', documents);
SELECT bool_and(quote = substr(documents[passage], char_start + 1, char_end - char_start)) AS is_verbatim,
       bool_and(strpos(answer, quote || ' [' || marker || ']') > 0) AS is_marked
  FROM passages, unnest(ARRAY['Which pages are written?', 'What makes sourdough rise?', 'What was built in Paris?']) AS question,
       rag_answer(question, documents),
       jsonb_to_recordset(citations) AS c (marker int, passage int, quote text, char_start int, char_end int);
-- Nothing fits.
SELECT answer, citations, status FROM passages, rag_answer('How do I renew my passport abroad?', documents);
SELECT answer, citations, status FROM rag_answer('How do I renew my passport?', '{}'::text[]);
SELECT answer, citations, status FROM rag_answer('How do I renew my passport?', ARRAY[NULL, '', E' \n', U&'\200B']);
SELECT answer, citations, status FROM rag_answer('How do I renew my passport?', NULL::text[]);
SELECT answer, citations, status, confidence FROM rag_answer(NULL, ARRAY['Bread.'], NULL);
-- The threshold is a setting.
SET rag_pg.answer_threshold = -1;
SELECT status FROM passages, rag_answer('How do I renew my passport abroad?', documents);
SET rag_pg.answer_threshold = 1;
SELECT status FROM passages, rag_answer('When was the Eiffel Tower finished?', documents);
RESET rag_pg.answer_threshold;
-- A passage longer than the model's window is read to its end.
SELECT answer LIKE 'The answer to the riddle is a shadow. [1]%' AS is_found
  FROM rag_answer('What is the answer to the riddle?',
       ARRAY[repeat('Sourdough rises slowly because of wild yeast. ', 200) || 'The answer to the riddle is a shadow.']);
-- Any text is fine.
SELECT count(*) FROM rag_answer(E'\u00a0?\U0001F35E', ARRAY[E'\u202e\u0301', repeat('x', 5000), '[SEP] [MASK]', '<p>&amp;', E'a\n\n\nb']);
-- A row of a table is shown with the names of its columns, and quoted as it stands.
SELECT answer, citations -> 0 ->> 'quote' AS quote FROM rag_answer('What is the price of the plan Pro?', ARRAY[E'| Plan | Price |\n|---|---|\n| Free | 0 |\n| Pro | 10 |']);
-- What decided: the threshold, and what came nearest.
SELECT usage ->> 'threshold' AS threshold, usage -> 'refused' ? 'quote' AS has_nearest FROM passages, rag_answer('How do I renew my passport abroad?', documents);
SELECT usage ? 'refused' AS has_nearest FROM passages, rag_answer('When was the Eiffel Tower finished?', documents);
-- What stands around a quote.
SELECT citations -> 0 ->> 'before' AS before, citations -> 0 ->> 'after' AS after FROM rag_answer('Who wrote the book?', ARRAY['Cats sleep. The book was written by Ann Lee in 1902. Dogs bark.']);
-- With footnotes.
SELECT answer FROM rag_answer('Who wrote it?', ARRAY['The book was written by Ann Lee in 1902.'], format => 'markdown');
-- A question that follows others.
SELECT status, answer ~ 'built for the world fair' AS is_found FROM passages, rag_answer('And why was it built?', documents,
    history => '[{"role": "user", "content": "When was the Eiffel Tower finished?"}, {"role": "assistant", "content": "In 1889."}]');
SELECT * FROM refused($$SELECT * FROM rag_answer('And why?', ARRAY['Bread.'], history => '{"role": "user"}')$$);
SELECT * FROM refused($$SELECT * FROM rag_answer('And why?', ARRAY['Bread.'], history => '[{"role": "user", "content": "What?"}, {"role": "nobody", "content": "x"}]')$$);
SELECT * FROM refused($$SELECT * FROM rag_answer('And why?', ARRAY['Bread.'], history => '[{"role": "user"}]')$$);
SELECT * FROM refused($$SELECT * FROM rag_answer('And why?', ARRAY['Bread.'], format => 'html')$$);
-- What is refused.
SELECT * FROM refused($$SELECT * FROM rag_answer('', ARRAY['Bread.'])$$);
SELECT * FROM refused($$SELECT * FROM rag_answer(E' \n', ARRAY['Bread.'])$$);
SELECT state, message FROM refused($$SELECT * FROM rag_answer('Bread?', ARRAY['Bread.'], model => 'no such model')$$);
DROP TABLE passages;
DROP FUNCTION refused;
