-- Searches and answers that were counted, with their latencies.
SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY kind DESC), '[]')
  FROM (SELECT kind, calls, no_answer, errors, total_ms, latency_ms, latency FROM rag.query_stats WHERE collection = :'collection') t;
