-- rag_chunk: what it gives for each format, and what it refuses.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
SET client_min_messages = warning;
-- The SQLSTATE, message and hint a statement fails with.
CREATE FUNCTION pg_temp.refused(statement text, OUT state text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    message := 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END $$;
\x on
-- Markdown, found by looking: a chunk a section, headings as metadata.
SELECT * FROM rag_chunk(E'# Guide\n\nIt says how.\n\n## Install\n\nRun `make`.\n\n```sh\nmake install\n```\n\n## Use\n\n- one\n- two\n');
-- HTML: the extracted text; Markdown left alone when the caller says it is plain.
SELECT * FROM rag_chunk('<h1>T &amp; U</h1><script>x()</script><p>One <b>two</b></p><table><tr><td>a<td>b</table>');
SELECT * FROM rag_chunk('# no heading', format => 'plain');
-- Pages of a text with form feeds; sentences as overlap.
SELECT * FROM rag_chunk(E'One two three. Four five six.\fSeven eight nine. Ten.', 9, 4);
\x off
-- Chunks are pieces of the text at their offsets, in characters, and fit.
WITH doc(body) AS (SELECT repeat('Ein schöner Satz über die Straße nach 東京. ', 200)),
     chunk AS (SELECT * FROM doc, rag_chunk(body, 40, 10, 'plain'))
SELECT count(*) > 20 AS many, bool_and(content = substr(body, char_start + 1, char_end - char_start)) AS verbatim,
       max(token_count) <= 40 AS fit, array_agg(ordinal ORDER BY char_start) = array(SELECT generate_series(1, (SELECT count(*) FROM chunk)::int)) AS numbered,
       max(char_end) = length(rtrim(min(body))) AS complete
  FROM chunk;
-- By default a chunk is what the model takes, and overlaps by 50 tokens.
SELECT max(token_count) BETWEEN 240 AND 254 AS full, count(*) > 1 AS several
  FROM rag_chunk(repeat('All work and no play makes a dull boy. ', 100));
-- One row a chunk, in lateral joins too; nothing in, nothing out.
SELECT id, ordinal, content FROM (VALUES (1, 'a b'), (2, NULL), (3, ''), (4, E' \n\t'), (5, 'c')) d(id, body), rag_chunk(body) ORDER BY 1, 2;
-- Any text: unassigned characters, combining marks, no spaces, no end.
SELECT count(*) > 0 AS ok, bool_and(token_count <= 5) AS fit FROM rag_chunk(U&'\FFFF\+10FFFF\0301\0301 \200B', 5);
SELECT count(*) AS chunks, max(length(content)) AS longest FROM rag_chunk(repeat('x', 1000000), 100);
SELECT count(*) FROM rag_chunk(repeat('<div>', 100000) || 'x', format => 'html');
-- What is refused.
SELECT r.* FROM unnest(ARRAY[
    'SELECT rag_chunk(''x'', 0)', 'SELECT rag_chunk(''x'', -1)', 'SELECT rag_chunk(''x'', 255)',
    'SELECT rag_chunk(''x'', 10, 10)', 'SELECT rag_chunk(''x'', 10, -1)', 'SELECT rag_chunk(''x'', overlap_tokens => 254)',
    'SELECT rag_chunk(''x'', format => ''pdf'')', 'SELECT rag_chunk(NULL, 0)']) s, pg_temp.refused(s) r;
SELECT state FROM pg_temp.refused('SELECT rag_chunk(''x'', model => ''nope'')');
-- A timeout ends it in the middle.
SET statement_timeout = '100ms';
SELECT count(*) FROM rag_chunk(repeat('Lorem ipsum dolor sit amet. ', 1800000));
RESET statement_timeout;
-- It needs no ONNX Runtime: a session that has none chunks all the same.
SELECT prosrc IS NOT NULL AS there, provolatile, proparallel, proisstrict FROM pg_proc WHERE proname = 'rag_chunk';
