-- Documents that were given up, by reason.
SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY documents DESC), '[]')
  FROM (SELECT failure, coalesce(reason, 'shown to the owner of the source') AS reason, count(*) AS documents,
               to_char(max(failed_at), 'YYYY-MM-DD HH24:MI') AS last, (array_agg(document_key::text ORDER BY failed_at DESC))[1:3] AS keys
          FROM rag.dead_job WHERE collection = :'collection'
         GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 25) t;
