-- rag_search with neighbours, with at most so many chunks of a document, without near duplicates.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE TABLE tales (id int PRIMARY KEY, tenant text NOT NULL, body text);
INSERT INTO tales
SELECT d, CASE d WHEN 3 THEN 'b' ELSE 'a' END, string_agg(format('Part %s of tale %s tells of %s and of a %s that was lost.', n, d, word, (ARRAY['ring', 'key', 'map'])[d]), E'\n\n' ORDER BY n)
  FROM generate_series(1, 3) d, unnest(ARRAY['dragons', 'rivers', 'castles', 'storms', 'harvests', 'weddings', 'wolves', 'bridges']) WITH ORDINALITY w (word, n)
 GROUP BY d;
-- The same text thrice, with other punctuation, case and one other word at its end.
INSERT INTO tales VALUES (10, 'a', 'A comet was seen over the northern town on the first night of the year, and nobody slept.'),
    (11, 'a', 'A COMET was seen over the northern town, on the first night of the year: and nobody slept!'),
    (12, 'a', 'A comet was seen over the northern town on the first night of the year, and nobody cared.');
SELECT rag_create_collection('tales', 'tales', 'body', text_search_config => 'english', max_tokens => 32, overlap_tokens => 16);
CALL rag_work('tales');
SELECT id, count(*), min(char_start) FROM tales_chunks GROUP BY id ORDER BY id;

-- At most so many of a document. More candidates are looked at where the usual ones are of too few documents.
SELECT n, count(*), count(DISTINCT document_key), max(of_document) <= coalesce(n, 99) AS holds
  FROM unnest(ARRAY[NULL, 1, 2, 99]) n, LATERAL (SELECT document_key, count(*) OVER (PARTITION BY document_key) AS of_document
                                                   FROM rag_search('tales', 'what was lost in the tales?', 6, per_document => n)) s GROUP BY n ORDER BY n NULLS FIRST;
SELECT count(*), count(DISTINCT document_key) FROM rag_search('tales', 'what was lost in the tales?', 5, per_document => 1, candidates => 5, depth => 5);
-- Near duplicates of a better one.
SELECT least, array_agg((document_key ->> 'id')::int ORDER BY (document_key ->> 'id')::int) AS ids
  FROM unnest(ARRAY[NULL, 1, 0.7]::double precision[]) least, LATERAL rag_search('tales', 'a comet over the town, and nobody slept', 10, near_duplicate => least) WHERE content ~* 'comet' GROUP BY least ORDER BY least DESC NULLS FIRST;
-- Neighbours: the stretch of the document, as long as its offsets say, verbatim but for white space between chunks.
CREATE VIEW expanded AS
SELECT n AS expand, s.*, substr(t.body, (metadata ->> 'char_start')::int + 1, (metadata ->> 'char_end')::int - (metadata ->> 'char_start')::int) AS stretch
  FROM generate_series(0, 9) n, LATERAL rag_search('tales', 'castles and storms', 4, expand => n, filter => '{"id": {"lt": 10}}') s JOIN tales t ON t.id = (document_key ->> 'id')::int;
SELECT expand, count(*), bool_and(regexp_replace(content, '\s', '_', 'g') = regexp_replace(stretch, '\s', '_', 'g')) AS verbatim,
       bool_and(metadata -> 'hits' @> to_jsonb(chunk_id) AND metadata -> 'chunks' @> (metadata -> 'hits')) AS has_hits,
       sum(jsonb_array_length(metadata -> 'hits')) AS hits, max(jsonb_array_length(metadata -> 'chunks')) AS chunks
  FROM expanded GROUP BY expand ORDER BY expand;
-- Rows are in the order of their best hits and touch no other.
SELECT bool_and(score <= previous) FROM (SELECT score, lag(score, 1, 'Infinity') OVER (PARTITION BY expand) AS previous FROM expanded) s;
SELECT count(*) FROM expanded a JOIN expanded b USING (expand, document_key) WHERE a.chunk_id <> b.chunk_id AND expand > 0
   AND int4range((a.metadata ->> 'char_start')::int, (a.metadata ->> 'char_end')::int) && int4range((b.metadata ->> 'char_start')::int, (b.metadata ->> 'char_end')::int);
-- All three together, and what rag_explain says of each.
SELECT document_key, length(content) > 200 AS is_long FROM rag_search('tales', 'castles and storms', 2, per_document => 1, near_duplicate => 0.9, expand => 2);
SELECT reason, kept, count(*) > 0 AS some FROM rag_explain('tales', 'castles and storms', 5, per_document => 1) GROUP BY 1, 2 ORDER BY 2 DESC, 1;
SELECT reason, kept FROM rag_explain('tales', 'a comet over the town, and nobody slept', 10, near_duplicate => 0.7) WHERE content ~* 'comet' ORDER BY rank;
SELECT reason, kept FROM rag_explain('tales', 'tale 2 castles storms', 3, expand => 9, filter => '{"id": 2}') WHERE kept ORDER BY rank;

-- An answer from several documents.
SELECT status, jsonb_array_length(citations) > 0 AS cites, (SELECT count(*) = count(DISTINCT c -> 'document_key') FROM jsonb_array_elements(citations) c) AS each_of_another
  FROM rag_answer('tales', 'What was seen over the northern town?', 10, per_document => 1);
SELECT jsonb_array_length(citations) FROM rag_answer('tales', 'What was seen over the northern town?', 10, '{"id": [10, 11]}', near_duplicate => 1);

-- What a role may not see is no neighbour of anything.
CREATE ROLE diverse_a;
GRANT SELECT ON tales TO diverse_a;
SELECT rag_grant('tales', 'diverse_a');
ALTER TABLE tales ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tales USING ('diverse_' || tenant = current_user);
SET ROLE diverse_a;
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE content ~ 'tale 3') AS foreign_rows FROM rag_search('tales', 'castles and storms', 10, expand => 3, per_document => 5);
RESET ROLE;
-- A document that is deleted or changed meanwhile.
BEGIN;
DELETE FROM tales WHERE id = 2;
SELECT count(*) FROM rag_search('tales', 'castles and storms', 10, expand => 3) WHERE content ~ 'tale 2';
ROLLBACK;
BEGIN;
UPDATE tales SET body = 'Something else.' WHERE id = 2;
SELECT count(*) > 0 AS old_text_still FROM rag_search('tales', 'castles and storms', 10, expand => 3) WHERE content ~ 'tale 2';
ROLLBACK;

-- Mistakes.
CREATE FUNCTION refused_diverse(options text, OUT state text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT * FROM rag_search(''tales'', ''storms'', %s)', options);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END $$;
SELECT o.options, r.* FROM unnest(ARRAY['per_document => 0', 'per_document => 1001', 'near_duplicate => 0', 'near_duplicate => 1.5', $$near_duplicate => 'NaN'$$,
    'expand => -1', 'expand => 101', 'expand => 2147483647', 'expand => NULL, near_duplicate => NULL, per_document => NULL']) AS o (options), refused_diverse(options) r;
SELECT rag_drop_collection('tales');
DROP VIEW expanded;
DROP TABLE tales;
DROP FUNCTION refused_diverse;
DROP OWNED BY diverse_a;
DROP ROLE diverse_a;
