-- Relevance of the candidates of the newest 1,000 logged questions, in twenty buckets: returned ones and others.
SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY bucket), '[]')
  FROM (SELECT least(floor((c ->> 'relevance')::float8 * 20), 19)::int AS bucket,
               count(*) FILTER (WHERE (c ->> 'kept')::boolean) AS returned,
               count(*) FILTER (WHERE NOT (c ->> 'kept')::boolean) AS others
          FROM (SELECT candidates FROM rag.query_log
                 WHERE collection = :'collection' AND candidates IS NOT NULL ORDER BY logged_at DESC LIMIT 1000) q,
               jsonb_array_elements(q.candidates) c
         WHERE c ? 'relevance'
         GROUP BY 1) t;
