-- Confidence of the newest 1,000 logged answers, in twenty buckets from 0 to 1: answered, and refused.
SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY bucket), '[]')
  FROM (SELECT greatest(least(floor(confidence * 20), 19), 0)::int AS bucket,
               count(*) FILTER (WHERE status = 'answered') AS answered,
               count(*) FILTER (WHERE status <> 'answered') AS refused
          FROM (SELECT confidence, status FROM rag.query_log
                 WHERE collection = :'collection' AND kind = 'answer' AND confidence IS NOT NULL ORDER BY logged_at DESC LIMIT 1000) q
         GROUP BY 1) t;
