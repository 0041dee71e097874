-- Time of each step of the newest 1,000 logged questions.
SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY kind DESC, array_position(ARRAY['embed', 'gather', 'rank', 'answer', 'total'], step)), '[]')
  FROM (SELECT kind, m.key AS step, count(*) AS calls,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY m.value::float8) AS p50,
               percentile_cont(0.95) WITHIN GROUP (ORDER BY m.value::float8) AS p95
          FROM (SELECT kind, milliseconds FROM rag.query_log WHERE collection = :'collection' ORDER BY logged_at DESC LIMIT 1000) q,
               jsonb_each_text(q.milliseconds) m
         GROUP BY 1, 2) t;
