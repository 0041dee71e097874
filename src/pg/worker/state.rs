//! Whether background workers are there, for `rag.status`.
use super::board::board;
use super::duty::Duty;
use super::turnstile;
use crate::pg::guc;
use pgrx::prelude::*;

/// `running`, `none`, or `off` where the configuration wants none.
#[pg_extern(sql = r"
CREATE FUNCTION rag.worker_state() RETURNS text
    VOLATILE PARALLEL RESTRICTED LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.worker_state IS 'part of rag.status: whether a background worker of this database is running';
", requires = ["bootstrap"])]
fn worker_state() -> &'static str {
    if guc::worker::workers() == 0 {
        return "off";
    }
    let is_running = match board() {
        Some(board) => board.has_worker(),
        None => turnstile::of(Duty::Index).running.is_held(),
    };
    if is_running { "running" } else { "none" }
}
