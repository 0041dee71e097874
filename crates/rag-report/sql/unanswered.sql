-- Questions that found nothing, or nothing that answers; the most frequent first.
SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY asked DESC, last DESC), '[]')
  FROM (SELECT query, count(*) AS asked, to_char(max(logged_at), 'YYYY-MM-DD HH24:MI') AS last, max(confidence) AS confidence,
               max((candidates -> 0 ->> 'relevance')::float8) AS relevance
          FROM rag.query_log
         WHERE collection = :'collection' AND (found = 0 OR status = 'no_answer')
         GROUP BY 1 ORDER BY 2 DESC, max(logged_at) DESC LIMIT 25) t;
