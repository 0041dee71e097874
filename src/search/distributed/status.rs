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

/// Of all distributed collections that the caller may search or monitors.
pub fn rows() -> Result<Vec<Row>> {
    let sql = "SELECT d.name FROM rag.distributed_collection d ORDER BY d.name";
    let mut rows = Vec::new();
    for name in plan::read_latest(sql, &[], |row| required::<String>(row, 1)) {
        let Some(distributed) = Distributed::find(&name)? else { continue };
        let content = [distributed.content.as_str()];
        if may_select_columns(distributed.source, &content) || is_monitor() {
            rows.extend(of(&distributed)?);
        }
    }
    Ok(rows)
}

fn of(distributed: &Distributed) -> Result<Vec<Row>> {
    let row = |server, is_degraded, status| Row {
        collection: distributed.name.clone(),
        server,
        is_degraded,
        status,
    };
    let parts = match distributed.parts() {
        Ok(parts) => parts,
        Err(error) => return Ok(vec![row(None, true, failed(&error))]),
    };
    let steps: Vec<(&Part, Step)> = parts.iter().map(|part| (part, Step::Status)).collect();
    let timeout = shard_timeout().min(MOST);
    let answers = ask_within::<Status>(&distributed.name, &steps, &[], timeout)?;
    let (mut rows, mut known) = (Vec::new(), Vec::new());
    for (part, answer) in parts.iter().zip(answers) {
        let server = Some(part.server.name.clone());
        match answer {
            Ok(status) => {
                known.push(status.clone());
                rows.push(row(server, false, status));
            }
            Err(error) => rows.push(row(server, true, failed(&error))),
        }
    }
    let is_degraded = known.len() < parts.len();
    let mut whole = Status::of_parts(&known);
    if is_degraded {
        whole.warning =
            rows.iter().filter(|row| row.is_degraded).find_map(|row| row.status.warning.clone());
    }
    rows.insert(0, row(None, is_degraded, whole));
    Ok(rows)
}

fn failed(error: &Error) -> Status {
    Status { warning: Some(error.to_string()), ..Status::default() }
}
