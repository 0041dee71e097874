-- Collections with their state, in the order of their names; all of them, or those that were named.
SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY collection), '[]')
  FROM (SELECT s.collection, s.documents, s.indexed, s.pending, s.in_flight, s.dead, s.chunks, s.worker, s.paused, s.remote_calls, s.remote_cost,
               date_trunc('second', s.lag)::text AS lag, date_trunc('second', s.eta)::text AS eta, s.rate,
               (SELECT jsonb_agg(to_jsonb(g) ORDER BY g.generation)
                  FROM (SELECT generation, state, model, dimensions, max_tokens, overlap_tokens, index, chunks, pg_size_pretty(bytes) AS size, is_loaded, error
                          FROM rag.generation_status WHERE collection = s.collection) g) AS generations
          FROM rag.status s
         WHERE :'collections' = '[]' OR :'collections'::jsonb ? s.collection) t;
