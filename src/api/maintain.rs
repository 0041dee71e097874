//! `rag_maintain()`: shows whether a collection's vector index is stale, and has it rebuilt.
use crate::api::int4;
use crate::catalog::collection::{Collection, require_owner};
use crate::catalog::distributed::{Distributed, Part};
use crate::catalog::vector_index::announce_pgvector;
use crate::maintain::index as maintain;
use crate::maintain::index::IndexReport;
use crate::sys::error::SqlError;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::execute;
use crate::sys::workers::wake;
use pgrx::prelude::*;
use rag::{Error, Result};
use serde::Deserialize;

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
    action text,
    server text
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
            name!(server, Option<String>),
        ),
    >,
    SqlError,
> {
    let Some(collection) = collection else { return Ok(TableIterator::new(Vec::new())) };
    let questions = checked(questions)?;
    if let Some(distributed) = Distributed::find(collection)? {
        require_owner(distributed.owner, collection, "maintain it")?;
        let mut arguments = vec![("questions", questions.to_string())];
        arguments.extend(rebuild.map(|rebuild| ("rebuild", rebuild.to_string())));
        let rows = distributed.rows::<RemoteRow>("rag_maintain", &arguments)?;
        let row = |(part, row): (Part, RemoteRow)| {
            let server = Some(part.server_name().to_owned());
            let RemoteRow { method, rows, rows_indexed, size, lists, .. } = row;
            let RemoteRow { recall, margin, reason, action, .. } = row;
            (method, rows, rows_indexed, size, lists, recall, margin, reason, action, server)
        };
        return Ok(TableIterator::new(rows.into_iter().map(row).collect::<Vec<_>>()));
    }
    let collection = Collection::owned(Some(collection), "maintain it")?;
    let report = maintain::inspect(&collection, questions)?;
    announce_pgvector();
    let action = act(&report, rebuild);
    Ok(TableIterator::new(vec![(
        report.method,
        report.rows,
        report.rows_indexed,
        report.size,
        report.lists,
        report.recall.map(|recall| recall.mean),
        report.recall.map(|recall| recall.margin),
        report.reason,
        action.to_owned(),
        None,
    )]))
}

/// A row as a server sends it.
#[derive(Deserialize)]
struct RemoteRow {
    method: String,
    rows: i64,
    rows_indexed: Option<i64>,
    size: Option<i64>,
    lists: Option<i32>,
    recall: Option<f64>,
    margin: Option<f64>,
    reason: Option<String>,
    action: String,
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
