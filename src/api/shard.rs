//! `rag.shard`: what the server of a distributed collection asks of one that holds a part of it; and what they say of their ingestion.
use crate::search::distributed::status;
use crate::search::part;
use crate::sys::error::SqlError;
use pgrx::datum::Interval;
use pgrx::prelude::*;

/// Whoever may search the part may ask; it gives nothing else.
#[pg_extern(sql = r"
CREATE FUNCTION rag.shard(request text, vectors bytea) RETURNS text
    STABLE STRICT PARALLEL RESTRICTED COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.shard IS 'part of searches of a distributed collection: a step of one in the part that this server holds';
", requires = ["catalog"])]
fn shard(request: &str, vectors: &[u8]) -> Result<String, SqlError> {
    Ok(part::answer(request, vectors)?.to_string())
}

#[pg_extern(sql = r"
CREATE FUNCTION rag.distributed_status() RETURNS TABLE (
    collection text,
    server text,
    degraded boolean,
    documents bigint,
    indexed bigint,
    pending bigint,
    in_flight bigint,
    dead bigint,
    chunks bigint,
    lag interval,
    rate float8,
    eta interval,
    pages bigint,
    paused text,
    worker text,
    warning text
) VOLATILE PARALLEL RESTRICTED ROWS 10 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.distributed_status IS 'part of rag.status: what the servers of distributed collections say, a row for each partition and one for the whole';
", requires = ["catalog"])]
#[allow(clippy::type_complexity)] // the columns are the API
fn distributed_status() -> Result<
    TableIterator<
        'static,
        (
            name!(collection, String),
            name!(server, Option<String>),
            name!(degraded, bool),
            name!(documents, Option<i64>),
            name!(indexed, Option<i64>),
            name!(pending, Option<i64>),
            name!(in_flight, Option<i64>),
            name!(dead, Option<i64>),
            name!(chunks, Option<i64>),
            name!(lag, Option<Interval>),
            name!(rate, Option<f64>),
            name!(eta, Option<Interval>),
            name!(pages, Option<i64>),
            name!(paused, Option<String>),
            name!(worker, Option<String>),
            name!(warning, Option<String>),
        ),
    >,
    SqlError,
> {
    let row = |one: status::Row| {
        let status::Row { collection, server, is_degraded, status: s } = one;
        let interval = |seconds: Option<f64>| Interval::new(0, 0, (seconds? * 1e6) as i64).ok();
        let numbers = (s.documents, s.indexed, s.pending, s.in_flight, s.dead, s.chunks);
        let (documents, indexed, pending, in_flight, dead, chunks) = numbers;
        let (lag, eta) = (interval(s.lag), interval(s.eta));
        (
            collection,
            server,
            is_degraded,
            documents,
            indexed,
            pending,
            in_flight,
            dead,
            chunks,
            lag,
            s.rate,
            eta,
            s.pages,
            s.paused,
            s.worker,
            s.warning,
        )
    };
    let rows: Vec<_> = status::rows()?.into_iter().map(row).collect();
    Ok(TableIterator::new(rows))
}
