//! `rag_recall`: what a collection's vector index misses.
use crate::api::int4;
use crate::api::search::count;
use crate::catalog::distributed::{Distributed, Part};
use crate::search::distributed::require_rights;
use crate::search::recall::{Asked, Measured, measure};
use crate::sys::error::SqlError;
use pgrx::prelude::*;
use rag::search::quality::median;
use rag::{Error, Result};
use serde::Deserialize;

/// Most questions: each is compared with every chunk.
const MAX_QUERIES: i64 = 10_000;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_recall(
    collection text,
    queries bigint = 100,
    k bigint = 10,
    depth bigint = 100
) RETURNS TABLE (
    asked bigint,
    recall float8,
    index_p50_ms float8,
    exact_p50_ms float8,
    access text,
    logged bigint,
    server text
) STABLE PARALLEL RESTRICTED ROWS 1 COST 1000000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_recall IS 'share of the nearest chunks that the vector index finds, asked logged questions or parts of sentences';
", requires = ["catalog"])]
#[allow(clippy::type_complexity)] // the row of a set-returning function
fn rag_recall(
    collection: Option<&str>,
    queries: Option<i64>,
    k: Option<i64>,
    depth: Option<i64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(asked, i64),
            name!(recall, Option<f64>),
            name!(index_p50_ms, Option<f64>),
            name!(exact_p50_ms, Option<f64>),
            name!(access, Option<String>),
            name!(logged, i64),
            name!(server, Option<String>),
        ),
    >,
    SqlError,
> {
    let Some(collection) = collection else { return Ok(TableIterator::new(Vec::new())) };
    let queries = queries.unwrap_or(100);
    if !(1..=MAX_QUERIES).contains(&queries) {
        return Err(Error::invalid_argument(format!(
            "queries must be between 1 and {MAX_QUERIES}"
        ))
        .with_detail(format!("It is {queries}."))
        .with_hint("100 tell recall to about one in a hundred.")
        .into());
    }
    let k = k.unwrap_or(10);
    let nearest = count("k", k)?;
    let depth = count("depth", depth.unwrap_or(100))?.max(nearest);
    if let Some(distributed) = Distributed::find(collection)? {
        require_rights(&distributed)?;
        let count = |count: usize| count.to_string();
        let arguments =
            [("queries", queries.to_string()), ("k", count(nearest)), ("depth", count(depth))];
        let rows = distributed.rows::<RemoteRow>("rag_recall", &arguments)?;
        let row = |(part, row): (Part, RemoteRow)| {
            let server = Some(part.server_name().to_owned());
            let RemoteRow { asked, recall, index_p50_ms, exact_p50_ms, access, logged } = row;
            (asked, recall, index_p50_ms, exact_p50_ms, access, logged, server)
        };
        return Ok(TableIterator::new(rows.into_iter().map(row).collect::<Vec<_>>()));
    }
    let Measured { recalls, logged, index_times, exact_times, access } =
        measure(collection, Asked::Questions, int4(queries), nearest, depth)?;
    let count = recalls.len();
    let some = |value: f64| (count > 0).then_some(value);
    Ok(TableIterator::new(vec![(
        count as i64,
        some(recalls.iter().sum::<f64>() / count as f64),
        some(median(&index_times)),
        some(median(&exact_times)),
        access,
        logged as i64,
        None,
    )]))
}

/// A row as a server sends it.
#[derive(Deserialize)]
struct RemoteRow {
    asked: i64,
    recall: Option<f64>,
    index_p50_ms: Option<f64>,
    exact_p50_ms: Option<f64>,
    access: Option<String>,
    logged: i64,
}
