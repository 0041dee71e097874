-- 0.1.0 to 0.2.0. Written by scripts/upgrade.sh; what is written by hand is in sql/upgrades/.
SET LOCAL search_path = pg_catalog, pg_temp;
CREATE FUNCTION rag.pgvector_warning() RETURNS text
    STABLE PARALLEL SAFE COST 1000 RETURN (SELECT pg_catalog.format('pgvector %s can damage vector indexes', x.default_version) FROM pg_catalog.pg_available_extensions() x WHERE x.name = 'vector' AND (pg_catalog.regexp_match(x.default_version, '^(\d+)\.(\d+)\.(\d+)'))::int[] < ARRAY[0, 8, 4]);
COMMENT ON FUNCTION rag.pgvector_warning() IS 'what is wrong with the installed pgvector: before 0.8.2 parallel builds of an HNSW index write beyond their memory, before 0.8.4 INSERT beside VACUUM can damage one; NULL where nothing is';
DO $$
BEGIN
    IF rag.pgvector_warning() IS NOT NULL THEN
        RAISE WARNING USING
            MESSAGE = rag.pgvector_warning(),
            HINT = 'Install pgvector 0.8.4 or newer, and run ALTER EXTENSION vector UPDATE. Until then indexes are built without parallel workers.';
    END IF;
END $$;
CREATE OR REPLACE VIEW rag.status WITH (security_barrier) AS
SELECT s.collection, s.documents, s.indexed, s.pending, s.in_flight, s.dead, s.chunks, s.lag, s.rate, s.eta, s.worker_heartbeat,
       s.paused, s.worker,
       -- To whom pending is told, everything is.
       CASE WHEN s.pending IS NOT NULL THEN COALESCE(t.calls, 0) END AS remote_calls,
       CASE WHEN s.pending IS NOT NULL THEN COALESCE(t.tokens, 0) END AS remote_tokens,
       CASE WHEN s.pending IS NOT NULL THEN t.cost END AS remote_cost,
       (SELECT q.hit_rate FROM rag.query_cache q) AS query_cache_hit_rate,
       s.pages, s.page_rate,
       (SELECT rag.pgvector_warning()) AS warning
  FROM rag.generation_status s
  JOIN rag.collection c ON c.name = s.collection
  LEFT JOIN rag.call_total t ON t.collection_id = c.collection_id
 WHERE s.state = 'active';
COMMENT ON COLUMN rag.status.warning IS 'what is wrong with the installed pgvector, or NULL; the same in every row';
