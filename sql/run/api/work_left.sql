-- Run by rag_work as the extension's owner, at its end: collections of $1 that are not up to date.
SELECT c.name, COALESCE(CASE WHEN c.paused IS NOT NULL THEN j.reason END, c.paused, j.paused) AS paused, j.dead, j.later,
       c.home = rag.home(c.source) AS is_at_home
  FROM rag.collection c
 CROSS JOIN LATERAL (
       SELECT pg_catalog.count(*) FILTER (WHERE j.is_dead),
              pg_catalog.count(*) FILTER (WHERE NOT j.is_dead AND j.attempts > 0),
              pg_catalog.min(CASE WHEN g.paused IS NOT NULL THEN COALESCE(p.paused, g.paused) END),
              pg_catalog.min(p.paused)
         FROM rag.generation g
         LEFT JOIN rag.progress p USING (generation_id)
         LEFT JOIN rag.job j USING (generation_id)
        WHERE g.collection_id = c.collection_id AND g.state <> 'retired') AS j (dead, later, paused, reason)
 WHERE c.collection_id = ANY ($1) AND c.detached_at IS NULL
   AND (c.paused IS NOT NULL OR j.paused IS NOT NULL OR c.home <> rag.home(c.source) OR j.dead > 0
        OR j.later > 0)
 ORDER BY c.name
