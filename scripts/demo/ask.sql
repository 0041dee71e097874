-- Run by scripts/demo.sh: ask(question) is an answer with its sources and where the time went, as text.
CREATE OR REPLACE FUNCTION ask(question text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  found    record;
  sources  text;
  started  timestamptz := clock_timestamp();
  embedded timestamptz;
  searched timestamptz;
  reranked timestamptz;
  answered timestamptz;
BEGIN
  PERFORM rag_embed(question);
  embedded := clock_timestamp();
  PERFORM FROM rag_search('manual', question, rerank => false);
  searched := clock_timestamp();
  PERFORM FROM rag_search('manual', question);
  reranked := clock_timestamp();
  SELECT * INTO found FROM rag_answer('manual', question);
  answered := clock_timestamp();

  SELECT string_agg(format(E'\n  [%s] %s (%s)', c ->> 'marker', m.title, m.id), '' ORDER BY ordinality)
    INTO sources
    FROM jsonb_array_elements(found.citations) WITH ORDINALITY AS cited (c, ordinality)
    JOIN manual AS m ON m.id = c -> 'document_key' ->> 'id';

  RETURN format(E'%s%s\n  embed %s ms, embed + search %s ms, with rerank %s ms, whole answer %s ms',
    found.answer, sources, milliseconds(embedded - started), milliseconds(searched - embedded),
    milliseconds(reranked - searched), milliseconds(answered - reranked));
END
$$;

CREATE OR REPLACE FUNCTION milliseconds(duration interval) RETURNS numeric
LANGUAGE sql AS $$ SELECT round((extract(epoch FROM duration) * 1000)::numeric, 1) $$;
