//! What the servers of distributed collections say of their ingestion. A server that does not answer is a row, not an error.
use crate::catalog::distributed::ask::ask_within;
use crate::catalog::distributed::{Distributed, Part};
use crate::sys::guc::search::shard_timeout;
use crate::sys::plan;
use crate::sys::privileges::{is_monitor, may_select_columns};
use crate::sys::rows::required;
use rag::search::shard::{Status, Step};
use rag::{Error, Result};
use std::time::Duration;

/// Longest time that a look at the status waits for servers.
const MOST: Duration = Duration::from_secs(3);

/// A row of `rag.distributed_status()`.
pub struct Row {
    pub collection: String,
    /// `None` for the whole.
    pub server: Option<String>,
    pub is_degraded: bool,
    pub status: Status,
}

/// Of all distributed collections that the caller may search or monitors. All servers are asked at once.
pub fn rows() -> Result<Vec<Row>> {
    let sql = "SELECT d.name FROM rag.distributed_collection d ORDER BY d.name";
    let mut all = Vec::new();
    for name in plan::read_latest(sql, &[], |row| required::<String>(row, 1)) {
        let Some(distributed) = Distributed::find(&name)? else { continue };
        let content = [distributed.content.as_str()];
        if may_select_columns(distributed.source, &content) || is_monitor() {
            all.push((name, distributed.parts()));
        }
    }
    let parts = all.iter().flat_map(|(name, parts)| {
        parts.iter().flatten().map(|part| (name.as_str(), part, Step::Status))
    });
    let answers = ask_within(parts.collect(), &[], shard_timeout().min(MOST))?;
    let (mut answers, mut rows) = (answers.into_iter(), Vec::new());
    for (name, parts) in all {
        match parts {
            Ok(parts) => rows.extend(of(&name, &parts, &mut answers)),
            Err(error) => rows.push(row(&name, None, true, failed(&error))),
        }
    }
    Ok(rows)
}

fn row(name: &str, server: Option<&str>, is_degraded: bool, status: Status) -> Row {
    let (collection, server) = (name.to_owned(), server.map(str::to_owned));
    Row { collection, server, is_degraded, status }
}

/// The rows of a collection, whose parts have the next of the answers.
fn of(name: &str, parts: &[Part], answers: &mut impl Iterator<Item = Result<Status>>) -> Vec<Row> {
    let (mut rows, mut known) = (Vec::new(), Vec::new());
    for (part, answer) in parts.iter().zip(answers) {
        let server = Some(part.server_name());
        match answer {
            Ok(status) => {
                known.push(status.clone());
                rows.push(row(name, server, false, status));
            }
            Err(error) => rows.push(row(name, server, true, failed(&error))),
        }
    }
    let is_degraded = known.len() < parts.len();
    let mut whole = Status::of_parts(&known);
    if is_degraded {
        whole.warning =
            rows.iter().filter(|row| row.is_degraded).find_map(|row| row.status.warning.clone());
    }
    rows.insert(0, row(name, None, is_degraded, whole));
    rows
}

fn failed(error: &Error) -> Status {
    Status { warning: Some(error.to_string()), ..Status::default() }
}
