-- rag_rerank: order, ordinals, NULL and blank documents, what is refused.
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
    'The Eiffel Tower was finished in 1889 for the world fair in Paris.',
    NULL,
    'The checkpointer process writes dirty pages from shared buffers to disk.',
    'Sourdough bread rises slowly because of wild yeast.',
    'A background writer also flushes dirty buffers, so that sessions need not wait.'] AS documents;
-- Best first; ordinals are the array's, NULL is left out.
SELECT ordinal, document FROM passages, rag_rerank('which process writes dirty pages to disk?', documents);
SELECT ordinal FROM passages, rag_rerank('when was the tower in Paris built?', documents, top_k => 1);
SELECT count(*) FROM passages, rag_rerank('bread', documents, top_k => 100);
-- Scores descend and are finite.
SELECT bool_and(score <= previous) AS descends, bool_and(score BETWEEN -10 AND 10) AS is_finite
  FROM (SELECT score, lag(score, 1, 10) OVER (ORDER BY place) AS previous
          FROM passages, rag_rerank('bread', documents) WITH ORDINALITY AS r (ordinal, document, score, place)) AS r;
-- The same call gives the same scores, and the order of the array does not matter.
SELECT array_agg(document) = (SELECT array_agg(document) FROM rag_rerank('dirty pages',
         (SELECT array_agg(d ORDER BY d) FROM unnest(documents) AS d))) AS is_stable
  FROM passages, rag_rerank('dirty pages', documents) GROUP BY documents;
-- Equal documents keep the array's order; blank ones come last.
SELECT ordinal, score < 0 AS is_low FROM rag_rerank('bread', ARRAY['  ', 'stone', 'bread', '', 'bread']);
SELECT ordinal, score FROM rag_rerank('bread', ARRAY['', E' \t\n', U&'\200B']);
SELECT ordinal, score FROM rag_rerank('bread', ARRAY['bread']);
-- Nothing to do.
SELECT count(*) FROM rag_rerank(NULL, ARRAY['bread']);
SELECT count(*) FROM rag_rerank('bread', NULL);
SELECT count(*) FROM rag_rerank('bread', '{}');
SELECT count(*) FROM rag_rerank('bread', ARRAY[NULL, NULL]::text[]);
-- Arrays of two dimensions and of another lower bound count from 1.
SELECT ordinal FROM rag_rerank('bread', '{{stone,bread},{iron,NULL}}') LIMIT 1;
SELECT ordinal FROM rag_rerank('bread', '[5:6]={stone,bread}') LIMIT 1;
-- A document longer than the window is cut, as the setting says.
SET client_min_messages = notice;
SELECT ordinal FROM rag_rerank('bread', ARRAY[repeat('stone ', 400), 'bread']);
SET rag_pg.truncation = error;
SELECT * FROM refused($$SELECT * FROM rag_rerank('bread', ARRAY[repeat('stone ', 400), 'bread'])$$);
SET rag_pg.truncation = silent;
SELECT ordinal FROM rag_rerank('bread', ARRAY[repeat('stone ', 400), 'bread']);
RESET rag_pg.truncation;
-- Any text is fine.
SELECT count(*) FROM rag_rerank(E'\u00a0?\U0001F35E', ARRAY[E'\u202e\u0301', repeat('x', 5000), '[SEP] [MASK]', '<p>&amp;', E'a\nb']);
-- What is refused.
SELECT * FROM refused($$SELECT * FROM rag_rerank('', ARRAY['bread'])$$);
SELECT * FROM refused($$SELECT * FROM rag_rerank(E' \n', ARRAY['bread'])$$);
SELECT * FROM refused($$SELECT * FROM rag_rerank('bread', ARRAY['bread'], 0)$$);
SELECT * FROM refused($$SELECT * FROM rag_rerank('bread', ARRAY['bread'], -1)$$);
SELECT * FROM refused($$SELECT * FROM rag_rerank(U&'\200B', ARRAY['bread'])$$);
SELECT state, message FROM refused($$SELECT * FROM rag_rerank('bread', ARRAY['bread'], model => 'no such model')$$);
DROP TABLE passages;
DROP FUNCTION refused;
