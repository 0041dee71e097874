//! `rag_maintain()`: shows whether a collection's vector index is stale, and has it rebuilt.
use crate::api::int4;
use crate::catalog::collection::Collection;
use crate::catalog::vector_index::announce_pgvector;
use crate::maintain::index as maintain;
use crate::maintain::index::IndexReport;
use crate::sys::error::SqlError;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::execute;
use crate::sys::workers::wake;
use pgrx::prelude::*;
use rag::{Error, Result};

/// Most questions to measure recall with: each compares every vector.
const MAX_QUESTIONS: i64 = 1_000;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_maintain(collection text, rebuild boolean = NULL, questions bigint = 20)
RETURNS TABLE (
    method text,
    rows bigint,
    rows_indexed bigint,
    size bigint,
    lists int,
    recall float8,
    margin float8,
    reason text,
    action text
) LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_maintain IS 'tells whether a collection''s vector index is stale, and has it built anew';
", requires = ["catalog"])]
#[allow(clippy::type_complexity)] // the shape of a result set
fn rag_maintain(
    collection: Option<&str>,
    rebuild: Option<bool>,
    questions: Option<i64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(method, String),
            name!(rows, i64),
            name!(rows_indexed, Option<i64>),
            name!(size, Option<i64>),
            name!(lists, Option<i32>),
            name!(recall, Option<f64>),
            name!(margin, Option<f64>),
            name!(reason, Option<String>),
            name!(action, String),
        ),
    >,
    SqlError,
> {
    let Some(collection) = collection else { return Ok(TableIterator::new(Vec::new())) };
    let questions = checked(questions)?;
    let collection = Collection::by_name(collection)?;
    collection.require_owner("maintain it")?;
    let report = maintain::inspect(&collection, questions)?;
    announce_pgvector();
    let action = act(&report, rebuild);
    Ok(TableIterator::once((
        report.method,
        report.rows,
        report.rows_indexed,
        report.size,
        report.lists,
        report.recall.map(|recall| recall.mean),
        report.recall.map(|recall| recall.margin),
        report.reason,
        action.to_owned(),
    )))
}

fn checked(questions: Option<i64>) -> Result<i32> {
    let questions = questions.unwrap_or(20);
    if (0..=MAX_QUESTIONS).contains(&questions) {
        return Ok(int4(questions));
    }
    Err(Error::invalid_argument(format!(
        "questions must be between 0 and {MAX_QUESTIONS}, not {questions}"
    ))
    .with_hint("20 tell an index that misses much; 0 measures no recall."))
}

/// Asks the workers for a new index where one is wanted.
fn act(report: &IndexReport, rebuild: Option<bool>) -> &'static str {
    if !report.can_be_built {
        return "none";
    }
    let is_stale = report.reason.is_some();
    if report.is_wanted {
        return "requested";
    }
    if !rebuild.unwrap_or(is_stale) {
        return if is_stale { "advised" } else { "none" };
    }
    let sql = "UPDATE rag.generation SET index_wanted = true WHERE generation_id = $1";
    as_extension_owner(|| execute(sql, &[report.generation.into()]));
    wake::changes_written();
    "requested"
}
