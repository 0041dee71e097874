-- Remote calls of the last thirty days: by day, and by model and purpose.
SELECT jsonb_build_object(
           'days', (SELECT coalesce(jsonb_agg(to_jsonb(d) ORDER BY day), '[]')
                      FROM (SELECT to_char(day, 'MM-DD') AS day, count(l.call_id) AS calls, coalesce(sum(l.cost), 0) AS cost
                              FROM generate_series(date_trunc('day', now()) - interval '29 days', now(), interval '1 day') day
                              LEFT JOIN rag.call_log l ON l.collection = :'collection' AND l.called_at >= day AND l.called_at < day + interval '1 day'
                             GROUP BY day) d),
           'models', (SELECT coalesce(jsonb_agg(to_jsonb(m) ORDER BY cost DESC NULLS LAST), '[]')
                        FROM (SELECT model, purpose, count(*) AS calls, count(*) FILTER (WHERE NOT succeeded) AS failed,
                                     sum(input_tokens + output_tokens) AS tokens, sum(cost) AS cost,
                                     percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds) AS p50
                                FROM rag.call_log WHERE collection = :'collection' AND called_at > now() - interval '30 days'
                               GROUP BY 1, 2) m));
