-- rag_explain: the very search that rag_search runs, with every candidate of both legs, and nobody sees
-- a candidate that a search would not show.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE TABLE notes (id int PRIMARY KEY, tenant text NOT NULL, body text);
INSERT INTO notes
SELECT g, CASE g % 2 WHEN 0 THEN 'even' ELSE 'odd' END,
       format('Note %s is about %s. It was written by %s.', g,
              (ARRAY['giraffes', 'savepoints', 'rivers', 'bread', 'telescopes'])[g % 5 + 1], (ARRAY['Ann', 'Bob', 'Cleo'])[g % 3 + 1])
  FROM generate_series(1, 40) g;
SELECT rag_create_collection('notes', 'notes', 'body', text_search_config => 'english');
CALL rag_work('notes');

-- What is kept is what a search returns, in its order and with its scores, whatever the options.
CREATE FUNCTION differs(query text, options text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM
        (SELECT row_number() OVER () AS rank, chunk_id, score, ordinal, content, document_key FROM rag_search(''notes'', %1$L %2$s)) s
        FULL JOIN (SELECT rank, chunk_id, score, ordinal, content, document_key FROM rag_explain(''notes'', %1$L %2$s) WHERE kept) e USING (rank, chunk_id, score, ordinal, content, document_key)
        WHERE s.chunk_id IS NULL OR e.chunk_id IS NULL', query, options) INTO n;
    RETURN n;
END $$;
SELECT query, options, differs(query, options)
  FROM unnest(ARRAY['who wrote about telescopes?', 'bread -Bob', '"by Cleo"', '"no such phrase" giraffes', '!!!', 'the of']) query,
       unnest(ARRAY['', ', top_k => 3, rerank => false', ', depth => 7, candidates => 6', ', dense_weight => 0, rerank => false',
                    ', lexical_weight => 0', ', filter => ''{"tenant": "odd"}''']) options
 WHERE differs(query, options) <> 0;
-- Candidates of both legs, also those that were not ranked; each says why.
SELECT kept, reason, rank IS NOT NULL AS ranked, score IS NOT NULL AS scored, count(*), count(dense_rank) AS dense, count(lexical_rank) AS lexical
  FROM rag_explain('notes', 'who wrote about telescopes?', 2, depth => 10, candidates => 5) GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC, 2;
SELECT count(DISTINCT chunk_id) = count(*) AS each_once, max(dense_rank) AS dense, count(lexical_rank) AS lexical,
       bool_and(similarity BETWEEN -1 AND 1 AND rrf > 0) AS figures, count(DISTINCT search) AS summaries
  FROM rag_explain('notes', 'who wrote about telescopes?', depth => 10);
-- The search as a whole: plan, model, times.
SET enable_seqscan = off;
SET enable_sort = off;
DISCARD PLANS;
SELECT s ->> 'model' AS model, length(s ->> 'fingerprint') AS fingerprint, s ->> 'order' AS "order", s -> 'notes' AS notes, s ->> 'strategy' AS strategy, s -> 'degraded' AS degraded,
       (SELECT array_agg(format('%s: %s, %s, %s', l ->> 'leg', regexp_replace(l ->> 'access', '_g\d+_', '_gN_'), l ->> 'wanted', l -> 'candidates')) FROM jsonb_array_elements(s -> 'legs') l) AS legs,
       (SELECT array_agg(key ORDER BY key) FROM jsonb_each_text(s -> 'milliseconds') WHERE value::float8 >= 0) AS times
  FROM (SELECT search AS s FROM rag_explain('notes', 'who wrote about telescopes?', 1, depth => 12) LIMIT 1) e;
RESET enable_seqscan;
RESET enable_sort;
DISCARD PLANS;
-- What went otherwise than asked.
SELECT q.name, note FROM (VALUES ('the of', 'the of'), ('a phrase', '"no such phrase" giraffes'), ('a space without width', U&'\200b')) q (name, query),
       LATERAL (SELECT line AS note FROM rag_explain_text('notes', query) line WHERE line ~ '^  Note|left out') n;
-- As a text.
SELECT regexp_replace(regexp_replace(regexp_replace(line, '_g\d+_', '_gN_'), '\d+\.\d+ ms', 'N ms', 'g'), '\([0-9a-f]{12}\), generation \d+', '(F), generation N') AS line
  FROM rag_explain_text('notes', 'telescopes', 1, depth => 2, dense_weight => 0, rerank => false) WITH ORDINALITY t (line, n) WHERE n <= 9;
SELECT count(*) FROM rag_explain_text('notes', 'telescopes', depth => 3) line WHERE line ~ 'one of the best|below';
SELECT count(*) FROM rag_explain('notes', NULL);
SELECT count(*) FROM rag_explain_text(NULL, 'telescopes');
BEGIN READ ONLY;
SELECT count(*) > 0 AS explained FROM rag_explain('notes', 'telescopes');
COMMIT;

-- A role under row-level security is shown its own candidates alone, by every way, and no count of others.
CREATE ROLE explain_odd;
CREATE ROLE explain_nobody;
GRANT SELECT ON notes TO explain_odd;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notes USING ('explain_' || tenant = current_user);
SELECT rag_grant('notes', 'explain_odd');
SET ROLE explain_odd;
SELECT count(*) > 5 AS some, count(*) FILTER (WHERE (document_key ->> 'id')::int % 2 = 0) AS foreign_rows FROM rag_explain('notes', 'who wrote about telescopes?', depth => 40);
SELECT count(*) > 5 AS some, count(*) FILTER (WHERE line ~ 'Note \d*[02468] ') AS foreign_rows FROM rag_explain_text('notes', 'who wrote about telescopes?', depth => 40) line;
SELECT search -> 'notes' AS notes, search ->> 'strategy' AS strategy FROM rag_explain('notes', 'who wrote about telescopes?', depth => 40) LIMIT 1;
RESET ROLE;
SET ROLE explain_nobody;
SELECT * FROM rag_explain('notes', 'telescopes');
SELECT * FROM rag_explain_text('notes', 'telescopes');
RESET ROLE;
SELECT rag_drop_collection('notes');
DROP TABLE notes;
DROP FUNCTION differs;
DROP OWNED BY explain_odd, explain_nobody;
DROP ROLE explain_odd, explain_nobody;
