//! `rag_query_stats`: how many searches and answers there were, and how long they took. Behind the view `rag.query_stats`.
use crate::search::query_stats::{QueryTotals, totals};
use pgrx::prelude::*;
use rag::search::query_stats::{BOUNDS, BUCKETS};

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_query_stats() RETURNS TABLE (
    collection text,
    kind text,
    calls bigint,
    no_answer bigint,
    errors bigint,
    total_ms float8,
    latency_ms int[],
    latency bigint[]
) STRICT VOLATILE PARALLEL RESTRICTED LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_query_stats IS 'counters of searches and answers; behind the view rag.query_stats';
CREATE VIEW rag.query_stats WITH (security_barrier, security_invoker) AS
    SELECT collection, kind, calls, no_answer, errors, total_ms, latency_ms, latency FROM @extschema@.rag_query_stats();
COMMENT ON VIEW rag.query_stats IS 'counters of searches and answers of the collections that the caller owns, since they were created; members of pg_monitor see all';
COMMENT ON COLUMN rag.query_stats.collection IS 'the collection';
COMMENT ON COLUMN rag.query_stats.kind IS 'search or answer';
COMMENT ON COLUMN rag.query_stats.calls IS 'calls that have ended';
COMMENT ON COLUMN rag.query_stats.no_answer IS 'of these, answers with the status no_answer; searches that found nothing';
COMMENT ON COLUMN rag.query_stats.errors IS 'of these, those that failed or were cancelled';
COMMENT ON COLUMN rag.query_stats.total_ms IS 'time that the others took';
COMMENT ON COLUMN rag.query_stats.latency_ms IS 'upper bounds of the buckets of latency, NULL for the last, which has none';
COMMENT ON COLUMN rag.query_stats.latency IS 'calls that did not fail by the time they took: one number for each bucket, which counts no call of another';
GRANT SELECT ON rag.query_stats TO PUBLIC;
", requires = ["catalog", "query_stats"])]
#[allow(clippy::type_complexity)] // the row of a set-returning function
fn rag_query_stats() -> TableIterator<
    'static,
    (
        name!(collection, String),
        name!(kind, String),
        name!(calls, i64),
        name!(no_answer, i64),
        name!(errors, i64),
        name!(total_ms, f64),
        name!(latency_ms, Vec<Option<i32>>),
        name!(latency, Vec<i64>),
    ),
> {
    let bounds = BOUNDS.map(|bound| i32::try_from(bound).ok());
    let bounds: Vec<Option<i32>> = bounds.into_iter().chain([None]).collect();
    TableIterator::new(totals().into_iter().map(
        move |QueryTotals { collection, kind, mut numbers }| {
            let latency = numbers.split_off(BUCKETS);
            let total = numbers[3] as f64 / 1e3;
            (collection, kind, numbers[0], numbers[1], numbers[2], total, bounds.clone(), latency)
        },
    ))
}
