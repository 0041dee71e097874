-- What the queue is doing. Run by CREATE EXTENSION. The views read tables that users may not, with their
-- owner's rights; each shows a caller only what concerns them.
CREATE VIEW rag.status AS
SELECT c.name AS collection,
       p.indexed + j.new AS documents,
       p.indexed,
       j.pending + w.pending AS pending,
       j.in_flight,
       j.dead,
       p.chunks,
       pg_catalog.clock_timestamp() - LEAST(j.oldest, w.oldest) AS lag,
       p.rate,
       CASE WHEN p.rate > 0 AND c.paused IS NULL AND c.home = rag.home(c.source)
            THEN pg_catalog.make_interval(secs => pg_catalog.round(
                     ((j.pending + j.in_flight + w.pending) / p.rate)::numeric)::float8) END AS eta,
       p.heartbeat AS worker_heartbeat,
       COALESCE(c.paused,
                CASE WHEN c.home <> rag.home(c.source)
                     THEN 'restored or cloned: rag_verify() lets it go on' END) AS paused
  FROM rag.collection c
  JOIN rag.generation g ON g.collection_id = c.collection_id AND g.state = 'active'
  LEFT JOIN rag.progress p ON p.generation_id = g.generation_id
 CROSS JOIN LATERAL (
       SELECT pg_catalog.count(*) FILTER (WHERE j.is_new),
              pg_catalog.count(*) FILTER (WHERE NOT j.is_dead AND NOT j.is_claimed),
              pg_catalog.count(*) FILTER (WHERE j.is_claimed),
              pg_catalog.count(*) FILTER (WHERE j.is_dead),
              pg_catalog.min(j.queued_at) FILTER (WHERE NOT j.is_dead)
         FROM (SELECT is_new, is_dead, queued_at,
                      NOT is_dead AND worker IS NOT NULL
                          AND ready_at > pg_catalog.clock_timestamp() AS is_claimed
                 FROM rag.job
                WHERE generation_id = g.generation_id) AS j)
       AS j (new, pending, in_flight, dead, oldest)
 CROSS JOIN LATERAL (
       SELECT COALESCE(pg_catalog.sum(w.documents), 0)::bigint, pg_catalog.min(w.changed_at)
         FROM (SELECT COALESCE(pg_catalog.cardinality(w.keys), 1) AS documents, w.changed_at
                 FROM rag.change w
                WHERE w.collection_id = c.collection_id
                UNION ALL
               SELECT 1, s.started_at
                 FROM rag.scan s
                WHERE s.generation_id = g.generation_id) AS w) AS w (pending, oldest)
 WHERE EXISTS (SELECT FROM pg_catalog.pg_class r
                WHERE r.oid = c.source
                  AND (pg_catalog.pg_has_role(r.relowner, 'USAGE')
                       OR pg_catalog.has_table_privilege(g.chunks, 'SELECT')));
COMMENT ON VIEW rag.status IS 'progress of the collections that the caller owns or was granted';
COMMENT ON COLUMN rag.status.documents IS 'documents known: indexed ones, and new ones waiting or given up; NULL until rag_verify counts those of a restored collection';
COMMENT ON COLUMN rag.status.indexed IS 'documents with chunks';
COMMENT ON COLUMN rag.status.pending IS 'documents waiting to be brought up to date; a comparison of the whole source counts as one';
COMMENT ON COLUMN rag.status.in_flight IS 'documents being worked on';
COMMENT ON COLUMN rag.status.dead IS 'documents given up; rag.dead_job says why';
COMMENT ON COLUMN rag.status.lag IS 'age of the oldest change not yet searchable; NULL when there is none';
COMMENT ON COLUMN rag.status.rate IS 'documents a second, smoothed';
COMMENT ON COLUMN rag.status.eta IS 'time until nothing is pending, at that rate';
COMMENT ON COLUMN rag.status.worker_heartbeat IS 'last sign of life of whoever works on the collection';
COMMENT ON COLUMN rag.status.paused IS 'why ingestion stands still, or NULL; rag_retry lets it go on, rag_verify a restored one';
GRANT SELECT ON rag.status TO PUBLIC;

-- security_barrier: no function of a user's sees a row before the condition has let it through.
CREATE VIEW rag.dead_job WITH (security_barrier) AS
SELECT c.name AS collection,
       j.key::jsonb AS document_key,
       j.failure,
       j.reason,
       j.attempts,
       j.excerpt,
       j.queued_at,
       j.ready_at AS failed_at
  FROM rag.job j
  JOIN rag.generation g ON g.generation_id = j.generation_id
  JOIN rag.collection c ON c.collection_id = g.collection_id
  JOIN pg_catalog.pg_class r ON r.oid = c.source
 WHERE j.is_dead AND pg_catalog.pg_has_role(r.relowner, 'USAGE');
COMMENT ON VIEW rag.dead_job IS 'documents given up, of the collections that the caller owns';
COMMENT ON COLUMN rag.dead_job.document_key IS 'values of the source''s primary key as text, in its order';
COMMENT ON COLUMN rag.dead_job.failure IS 'transient: kept failing though it was tried again; row: cannot be indexed as it is';
COMMENT ON COLUMN rag.dead_job.excerpt IS 'the document''s first characters';
GRANT SELECT ON rag.dead_job TO PUBLIC;
