-- Run by rag_answer's workers as the extension's owner: $1 a logged question, $2 its answer, $3 whether it is one, $4 milliseconds
-- that it took since the search.
UPDATE rag.logged_query
   SET answer = $2, status = $3,
       milliseconds = milliseconds || pg_catalog.jsonb_build_object(
           'answer', $4::float8, 'total', COALESCE((milliseconds->>'total')::float8, 0) + $4::float8)
 WHERE query_id = $1 AND answer IS NULL
