-- Run by rag_verify as the extension's owner: what is to be added to the counters of jobs of a generation ($1).
-- Jobs and counters change together, so that it is the same in every snapshot.
SELECT j.open OPERATOR(pg_catalog.-) n.open,
       j.dead OPERATOR(pg_catalog.-) n.dead,
       j.new OPERATOR(pg_catalog.-) n.new
  FROM (SELECT pg_catalog.count(*) FILTER (WHERE NOT j.is_dead),
               pg_catalog.count(*) FILTER (WHERE j.is_dead),
               pg_catalog.count(*) FILTER (WHERE j.is_new)
          FROM rag.job j
         WHERE j.generation_id OPERATOR(pg_catalog.=) $1) AS j (open, dead, new)
 CROSS JOIN (SELECT COALESCE(pg_catalog.sum(n.open), 0)::bigint,
                    COALESCE(pg_catalog.sum(n.dead), 0)::bigint,
                    COALESCE(pg_catalog.sum(n.new), 0)::bigint
               FROM rag.job_count n
              WHERE n.generation_id OPERATOR(pg_catalog.=) $1) AS n (open, dead, new)
