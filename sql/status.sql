-- What the queue is doing. Run by CREATE EXTENSION. The views read tables that users may not, with their
-- owner's rights; each shows a caller only what concerns them. Figures are for whoever may search and for monitoring;
-- texts of errors may repeat a document and are for the source's owner.
-- security_barrier: no function of a user's sees a row before the condition has let it through.
CREATE VIEW rag.generation_status WITH (security_barrier) AS
SELECT c.name AS collection,
       g.generation_id AS generation,
       g.state,
       g.model,
       g.fingerprint,
       g.dimensions,
       g.max_tokens,
       g.overlap_tokens,
       g.format,
       g.token_bits,
       -- Longer vectors than these cannot be indexed.
       CASE WHEN g.dimensions > 4000 THEN 'none' ELSE g.index_method END AS index,
       g.lexical,
       -- All of these are NULL for whom row-level security of the source shows a part of it.
       CASE WHEN w.is_told THEN p.indexed + COALESCE(n.new, 0) + w.inserted END AS documents,
       CASE WHEN w.is_told THEN p.indexed END AS indexed,
       CASE WHEN w.is_told THEN COALESCE(n.open, 0) - j.in_flight + w.pending END AS pending,
       CASE WHEN w.is_told THEN j.in_flight END AS in_flight,
       CASE WHEN w.is_told THEN COALESCE(n.dead, 0) END AS dead,
       CASE WHEN w.is_told THEN p.chunks END AS chunks,
       CASE WHEN w.is_told THEN p.embedded END AS embedded,
       CASE WHEN w.is_told THEN p.reused END AS reused,
       CASE WHEN w.is_told THEN p.tokens END AS tokens,
       CASE WHEN w.is_told THEN p.pages END AS pages,
       CASE WHEN w.is_told THEN p.pages / NULLIF(p.extracting, 0) END AS page_rate,
       CASE WHEN w.is_told THEN pg_catalog.clock_timestamp() - LEAST(j.oldest, w.oldest) END AS lag,
       CASE WHEN w.is_told THEN p.rate END AS rate,
       CASE WHEN w.is_told AND p.rate > 0 AND c.paused IS NULL AND g.paused IS NULL
             AND c.home = rag.home(c.source)
            THEN pg_catalog.make_interval(secs => pg_catalog.round(
                     ((COALESCE(n.open, 0) + w.pending - j.done) / p.rate)::numeric)::float8) END AS eta,
       CASE WHEN w.is_told
            THEN rag.size_unless_locked(g.documents) + rag.size_unless_locked(g.chunks)
                 + CASE WHEN g.bits IS NULL THEN 0 ELSE rag.size_unless_locked(g.bits) END
                 + CASE WHEN g.segments IS NULL THEN 0
                        ELSE rag.size_unless_locked(g.segments) + rag.size_unless_locked(g.postings) END END AS bytes,
       CASE WHEN w.is_told THEN g.calibration END AS calibration,
       g.loaded_at IS NOT NULL AS is_loaded,
       CASE WHEN NOT w.is_told THEN NULL
            WHEN g.state = 'active' THEN 0
            ELSE COALESCE(n.open, 0) - COALESCE(rag.jobs_of_both(g.generation_id, a.generation_id, false), 0)
                 + (SELECT pg_catalog.count(*) FROM rag.scan mine
                     WHERE mine.generation_id = g.generation_id
                       AND NOT EXISTS (SELECT FROM rag.scan s WHERE s.generation_id = a.generation_id))
             END AS behind,
       CASE WHEN NOT w.is_told THEN NULL
            WHEN g.state = 'active' THEN 0
            ELSE COALESCE(n.dead, 0) - COALESCE(rag.jobs_of_both(g.generation_id, a.generation_id, true), 0)
             END AS missing,
       g.switches,
       CASE WHEN w.is_told THEN p.heartbeat END AS worker_heartbeat,
       COALESCE(CASE WHEN o.is_owner AND (c.paused IS NOT NULL OR g.paused IS NOT NULL) THEN p.paused END,
                c.paused, g.paused,
                CASE WHEN c.home <> rag.home(c.source)
                     THEN 'restored or cloned: rag_verify() lets it go on' END) AS paused,
       -- A document is due again at a time of its own; a generation as a whole rests as long as its worker knows.
       CASE WHEN rag.worker_state() NOT IN ('off', 'outdated', 'primary') AND j.in_flight = 0 AND w.pending = 0 AND c.paused IS NULL AND g.paused IS NULL
                 AND (j.ready_at > pg_catalog.clock_timestamp()
                      OR j.ready_at IS NOT NULL AND rag.worker_state() = 'running' AND p.sqlstate IS NOT NULL)
            THEN 'waiting'
            WHEN rag.worker_state() = 'none'
            THEN CASE WHEN LEAST(j.ready_at, w.oldest) < pg_catalog.clock_timestamp() - interval '10 seconds'
                           AND c.paused IS NULL AND g.paused IS NULL AND c.home = rag.home(c.source)
                      THEN 'missing' ELSE 'idle' END
            ELSE rag.worker_state() END AS worker,
       CASE WHEN o.is_owner THEN p.error END AS error,
       p.sqlstate,
       g.created_at,
       g.loaded_at
  FROM rag.collection c
  JOIN pg_catalog.pg_class r ON r.oid = c.source
  JOIN rag.generation g ON g.collection_id = c.collection_id
 CROSS JOIN LATERAL (SELECT pg_catalog.pg_has_role(r.relowner, 'USAGE') AS is_owner) AS o
  LEFT JOIN rag.generation a ON a.collection_id = c.collection_id AND a.state = 'active'
  LEFT JOIN rag.progress p ON p.generation_id = g.generation_id
  LEFT JOIN (SELECT n.generation_id, pg_catalog.sum(n.open)::bigint AS open, pg_catalog.sum(n.dead)::bigint AS dead,
                    pg_catalog.sum(n.new)::bigint AS new
               FROM rag.job_count n
              GROUP BY n.generation_id) AS n ON n.generation_id = g.generation_id
 CROSS JOIN LATERAL (
       -- A worker stores many documents at once. What it has done of them since it began is estimated: its share of the rate.
       SELECT COALESCE(pg_catalog.sum(b.jobs), 0)::bigint,
              COALESCE(pg_catalog.sum(LEAST(b.begun, p.rate / b.workers
                           * EXTRACT(epoch FROM pg_catalog.clock_timestamp() - b.since)::float8)), 0),
              (SELECT pg_catalog.min(j.queued_at) FROM rag.job j
                WHERE j.generation_id = g.generation_id AND NOT j.is_dead),
              -- A claim is not ready before its lease ends.
              (SELECT pg_catalog.min(j.ready_at) FROM rag.job j
                WHERE j.generation_id = g.generation_id AND NOT j.is_dead)
         FROM (SELECT pg_catalog.count(*) AS jobs, pg_catalog.count(j.begun_at) AS begun, pg_catalog.min(j.begun_at) AS since,
                      pg_catalog.count(*) OVER () AS workers
                 FROM rag.job j
                WHERE j.generation_id = g.generation_id AND j.worker IS NOT NULL AND NOT j.is_dead
                  AND j.ready_at > pg_catalog.clock_timestamp()
                GROUP BY j.worker) AS b) AS j (in_flight, done, oldest, ready_at)
 CROSS JOIN LATERAL (
       -- A comparison of the whole source finds what else waits too, which is not to be counted twice.
       SELECT CASE WHEN pg_catalog.bool_or(w.is_whole) THEN 1 ELSE COALESCE(pg_catalog.sum(w.documents), 0) END::bigint,
              CASE WHEN pg_catalog.bool_or(w.is_whole) THEN 0
                   ELSE COALESCE(pg_catalog.sum(w.documents) FILTER (WHERE w.is_insert), 0) END::bigint,
              pg_catalog.min(w.changed_at),
              -- Here, where it is computed once.
              o.is_owner OR pg_catalog.pg_has_role('pg_monitor', 'USAGE') OR NOT pg_catalog.row_security_active(r.oid)
         FROM (SELECT pg_catalog.cardinality(w.keys) AS documents, w.is_insert, w.keys IS NULL AS is_whole, w.changed_at
                 FROM rag.change w
                WHERE w.collection_id = c.collection_id AND g.state <> 'retired'
                UNION ALL
               SELECT 0, false, true, s.started_at
                 FROM rag.scan s
                WHERE s.generation_id = g.generation_id) AS w) AS w (pending, inserted, oldest, is_told)
 WHERE o.is_owner OR pg_catalog.has_table_privilege(g.chunks, 'SELECT') OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW rag.generation_status IS 'progress of each generation of the collections that the caller owns or was granted; no figures for whom row-level security shows a part of the source; members of pg_monitor see all';
COMMENT ON COLUMN rag.generation_status.collection IS 'the collection';
COMMENT ON COLUMN rag.generation_status.generation IS 'number of the generation';
COMMENT ON COLUMN rag.generation_status.model IS 'name of the embedder';
COMMENT ON COLUMN rag.generation_status.fingerprint IS 'hash over everything that changes the model''s vectors';
COMMENT ON COLUMN rag.generation_status.dimensions IS 'length of the vectors';
COMMENT ON COLUMN rag.generation_status.max_tokens IS 'most tokens of a chunk, special tokens excluded';
COMMENT ON COLUMN rag.generation_status.overlap_tokens IS 'most tokens that two neighbouring chunks share';
COMMENT ON COLUMN rag.generation_status.format IS 'format of the documents: auto, plain, markdown, html, or one of files';
COMMENT ON COLUMN rag.generation_status.token_bits IS 'whether token bits are kept for reranking';
COMMENT ON COLUMN rag.generation_status.index IS 'method of the vector index: hnsw, ivfflat or none';
COMMENT ON COLUMN rag.generation_status.lexical IS 'what finds chunks by their words: builtin, or another extension';
COMMENT ON COLUMN rag.generation_status.indexed IS 'documents with chunks';
COMMENT ON COLUMN rag.generation_status.in_flight IS 'documents being worked on';
COMMENT ON COLUMN rag.generation_status.dead IS 'documents given up; rag.dead_job says why';
COMMENT ON COLUMN rag.generation_status.chunks IS 'chunks stored';
COMMENT ON COLUMN rag.generation_status.lag IS 'age of the oldest change not yet searchable; NULL when there is none';
COMMENT ON COLUMN rag.generation_status.rate IS 'documents stored a second, by all workers together, smoothed';
COMMENT ON COLUMN rag.generation_status.eta IS 'time until nothing is pending, at that rate';
COMMENT ON COLUMN rag.generation_status.worker_heartbeat IS 'last sign of life of whoever works on it';
COMMENT ON COLUMN rag.generation_status.worker IS 'running; idle: there is nothing to do; missing: there is, and none could be started; off: rag_pg.workers is 0; outdated: run ALTER EXTENSION rag_pg UPDATE, or restart the server; primary: this is a standby, whose primary has the workers';
COMMENT ON COLUMN rag.generation_status.created_at IS 'when it was made';
COMMENT ON COLUMN rag.generation_status.loaded_at IS 'when the first load was in and the vector index built, or NULL';
COMMENT ON COLUMN rag.generation_status.state IS 'building, active, standby or retired; see rag.generation';
COMMENT ON COLUMN rag.generation_status.documents IS 'documents known: indexed ones, and new ones waiting or given up; NULL until rag_verify counts those of a restored collection';
COMMENT ON COLUMN rag.generation_status.pending IS 'documents waiting to be brought up to date; a comparison of the whole source counts as one, with all that it may find';
COMMENT ON COLUMN rag.generation_status.embedded IS 'chunks embedded for it so far';
COMMENT ON COLUMN rag.generation_status.reused IS 'chunks whose vectors another generation had already';
COMMENT ON COLUMN rag.generation_status.tokens IS 'tokens embedded for it so far';
COMMENT ON COLUMN rag.generation_status.pages IS 'pages of files whose text was extracted for it so far';
COMMENT ON COLUMN rag.generation_status.page_rate IS 'pages extracted a second of work on that, on average; NULL where none were';
COMMENT ON COLUMN rag.generation_status.bytes IS 'its tables with their indexes; NULL where one is locked or gone';
COMMENT ON COLUMN rag.generation_status.calibration IS 'what its signals are worth, by the script of a question; NULL before its first calibration';
COMMENT ON COLUMN rag.generation_status.is_loaded IS 'whether the first load is in and the vector index built';
COMMENT ON COLUMN rag.generation_status.behind IS 'documents waiting here that the active generation has up to date';
COMMENT ON COLUMN rag.generation_status.missing IS 'documents given up here that the active generation has';
COMMENT ON COLUMN rag.generation_status.switches IS 'whether searches switch to it by themselves once it is complete';
COMMENT ON COLUMN rag.generation_status.paused IS 'why ingestion stands still, or NULL; rag_resume lets it go on';
COMMENT ON COLUMN rag.generation_status.error IS 'what went wrong last with the generation as a whole, or NULL; for the owner only';
COMMENT ON COLUMN rag.generation_status.sqlstate IS 'of what went wrong last, or of what paused it';
GRANT SELECT ON rag.generation_status TO PUBLIC;

CREATE VIEW rag.status WITH (security_barrier) AS
SELECT s.collection, s.documents, s.indexed, s.pending, s.in_flight, s.dead, s.chunks, s.lag, s.rate, s.eta, s.worker_heartbeat,
       s.paused, s.worker,
       -- To whom pending is told, everything is.
       CASE WHEN s.pending IS NOT NULL THEN COALESCE(t.calls, 0) END AS remote_calls,
       CASE WHEN s.pending IS NOT NULL THEN COALESCE(t.tokens, 0) END AS remote_tokens,
       CASE WHEN s.pending IS NOT NULL THEN t.cost END AS remote_cost,
       (SELECT q.hit_rate FROM rag.query_cache q) AS query_cache_hit_rate,
       s.pages, s.page_rate,
       (SELECT rag.pgvector_warning()) AS warning,
       NULL::text AS server,
       false AS degraded
  FROM rag.generation_status s
  JOIN rag.collection c ON c.name = s.collection
  LEFT JOIN rag.call_total t ON t.collection_id = c.collection_id
 WHERE s.state = 'active'
 UNION ALL
SELECT d.collection, d.documents, d.indexed, d.pending, d.in_flight, d.dead, d.chunks, d.lag, d.rate, d.eta, NULL, d.paused, d.worker,
       NULL, NULL, NULL, NULL, d.pages, NULL, d.warning, d.server, d.degraded
  FROM rag.distributed_status() d;
COMMENT ON VIEW rag.status IS 'progress of the collections that the caller owns or was granted; no figures for whom row-level security shows a part of the source; members of pg_monitor see all';
COMMENT ON COLUMN rag.status.collection IS 'the collection';
COMMENT ON COLUMN rag.status.chunks IS 'chunks stored';
COMMENT ON COLUMN rag.status.documents IS 'documents known: indexed ones, and new ones waiting or given up; NULL until rag_verify counts those of a restored collection';
COMMENT ON COLUMN rag.status.indexed IS 'documents with chunks';
COMMENT ON COLUMN rag.status.pending IS 'documents waiting to be brought up to date; a comparison of the whole source counts as one, with all that it may find';
COMMENT ON COLUMN rag.status.in_flight IS 'documents being worked on';
COMMENT ON COLUMN rag.status.dead IS 'documents given up; rag.dead_job says why';
COMMENT ON COLUMN rag.status.lag IS 'age of the oldest change not yet searchable; NULL when there is none';
COMMENT ON COLUMN rag.status.rate IS 'documents stored a second, by all workers together, smoothed';
COMMENT ON COLUMN rag.status.eta IS 'time until nothing is pending, at that rate';
COMMENT ON COLUMN rag.status.worker_heartbeat IS 'last sign of life of whoever works on the collection';
COMMENT ON COLUMN rag.status.worker IS 'running; idle: there is nothing to do; waiting: what is left failed and is tried again later; missing: there is work, and none could be started; off: rag_pg.workers is 0; outdated: run ALTER EXTENSION rag_pg UPDATE, or restart the server; primary: this is a standby, whose primary has the workers';
COMMENT ON COLUMN rag.status.paused IS 'why ingestion stands still, or NULL; rag_resume lets it go on, rag_verify a restored one';
COMMENT ON COLUMN rag.status.remote_calls IS 'calls of remote models for the collection since it was created; rag.call_log has them';
COMMENT ON COLUMN rag.status.remote_tokens IS 'tokens of these, read and written';
COMMENT ON COLUMN rag.status.remote_cost IS 'their cost by the models'' prices; NULL where no model has any';
COMMENT ON COLUMN rag.status.query_cache_hit_rate IS 'share of questions whose embedding was known, of the whole server where rag_pg is preloaded; the same in every row; there NULL but for members of pg_monitor';
COMMENT ON COLUMN rag.status.pages IS 'pages of files whose text was extracted so far';
COMMENT ON COLUMN rag.status.page_rate IS 'pages extracted a second of work on that, on average; NULL where none were';
COMMENT ON COLUMN rag.status.warning IS 'what is wrong with the installed pgvector, or NULL; the same in every row';
COMMENT ON COLUMN rag.status.server IS 'of a distributed collection, which has a row for each partition and one for the whole: the server that the row is about; else NULL';
COMMENT ON COLUMN rag.status.degraded IS 'of a distributed collection: whether the server, or one of them, does not answer';
GRANT SELECT ON rag.status TO PUBLIC;

CREATE VIEW rag.extraction WITH (security_barrier) AS
SELECT c.name AS collection,
       g.generation_id AS generation,
       CASE WHEN o.is_owner THEN j.key::jsonb END AS document_key,
       j.page,
       j.pages,
       j.begun_at,
       j.worker
  FROM rag.job j
  JOIN rag.generation g ON g.generation_id = j.generation_id
  JOIN rag.collection c ON c.collection_id = g.collection_id
  JOIN pg_catalog.pg_class r ON r.oid = c.source
 CROSS JOIN LATERAL (SELECT pg_catalog.pg_has_role(r.relowner, 'USAGE') AS is_owner) AS o
 WHERE j.page IS NOT NULL AND j.worker IS NOT NULL AND NOT j.is_dead AND j.ready_at > pg_catalog.clock_timestamp()
   AND (o.is_owner OR pg_catalog.pg_has_role('pg_monitor', 'USAGE'));
COMMENT ON VIEW rag.extraction IS 'files whose text is being extracted for longer than a second, of the collections that the caller owns; members of pg_monitor see all, without what came from documents';
COMMENT ON COLUMN rag.extraction.collection IS 'the collection';
COMMENT ON COLUMN rag.extraction.generation IS 'number of the generation';
COMMENT ON COLUMN rag.extraction.document_key IS 'values of the source''s primary key as text, in its order';
COMMENT ON COLUMN rag.extraction.page IS 'pages extracted so far';
COMMENT ON COLUMN rag.extraction.pages IS 'pages of the file, where that is known';
COMMENT ON COLUMN rag.extraction.begun_at IS 'when work on the document began';
COMMENT ON COLUMN rag.extraction.worker IS 'process id of the worker';
GRANT SELECT ON rag.extraction TO PUBLIC;

CREATE VIEW rag.dead_job WITH (security_barrier) AS
SELECT c.name AS collection,
       CASE WHEN o.is_owner THEN j.key::jsonb END AS document_key,
       j.failure,
       CASE WHEN o.is_owner THEN j.reason END AS reason,
       j.attempts,
       CASE WHEN o.is_owner THEN j.excerpt END AS excerpt,
       j.queued_at,
       j.ready_at AS failed_at
  FROM rag.job j
  JOIN rag.generation g ON g.generation_id = j.generation_id
  JOIN rag.collection c ON c.collection_id = g.collection_id
  JOIN pg_catalog.pg_class r ON r.oid = c.source
 CROSS JOIN LATERAL (SELECT pg_catalog.pg_has_role(r.relowner, 'USAGE') AS is_owner) AS o
 WHERE j.is_dead AND (o.is_owner OR pg_catalog.pg_has_role('pg_monitor', 'USAGE'));
COMMENT ON VIEW rag.dead_job IS 'documents given up, of the collections that the caller owns; members of pg_monitor see all, without what came from documents';
COMMENT ON COLUMN rag.dead_job.collection IS 'the collection';
COMMENT ON COLUMN rag.dead_job.attempts IS 'how often it was tried';
COMMENT ON COLUMN rag.dead_job.queued_at IS 'when its change was noticed';
COMMENT ON COLUMN rag.dead_job.failed_at IS 'when it was given up';
COMMENT ON COLUMN rag.dead_job.document_key IS 'values of the source''s primary key as text, in its order';
COMMENT ON COLUMN rag.dead_job.failure IS 'transient: kept failing though it was tried again; row: cannot be indexed as it is';
COMMENT ON COLUMN rag.dead_job.reason IS 'what the error said; for the owner only';
COMMENT ON COLUMN rag.dead_job.excerpt IS 'the document''s first characters; for the owner only';
GRANT SELECT ON rag.dead_job TO PUBLIC;
