-- Run by workers as the extension's owner between two runs of a claim: whether a generation other than $1 has ready jobs and
-- no worker. $2 generations to leave out.
SELECT EXISTS (
       SELECT FROM rag.generation g
         JOIN rag.collection c ON c.collection_id = g.collection_id
        WHERE g.generation_id <> $1 AND g.generation_id <> ALL ($2::int[])
          AND g.state <> 'retired' AND c.paused IS NULL AND g.paused IS NULL AND c.home = rag.home(c.source)
          AND (EXISTS (SELECT FROM rag.job j
                        WHERE j.generation_id = g.generation_id AND NOT j.is_dead
                          AND j.ready_at <= pg_catalog.clock_timestamp())
               OR EXISTS (SELECT FROM rag.scan s WHERE s.generation_id = g.generation_id))
          AND NOT EXISTS (SELECT FROM rag.job j
                           WHERE j.generation_id = g.generation_id AND j.worker IS NOT NULL
                             AND NOT j.is_dead AND j.ready_at > pg_catalog.clock_timestamp()))
