//! What `rag.status` and `rag.generation_status` call: whether background workers run, and documents with a job in two generations.
#![allow(unsafe_code)] // locks a relation

use crate::sys::rights::{as_extension_owner, without_jit};
use crate::sys::spi::required;
use crate::sys::workers::admission;
use crate::sys::workers::shared_state::WorkerKind;
use crate::sys::workers::shared_state::shared_state;
use crate::sys::{guc, plan, process, version};
use pgrx::prelude::*;

/// `running`, `none`, `off` where the configuration wants none, `outdated` where none starts before `ALTER EXTENSION UPDATE`, or
/// `primary` on a standby, whose primary has the workers.
#[pg_extern(sql = r"
CREATE FUNCTION rag.worker_state() RETURNS text
    VOLATILE PARALLEL RESTRICTED LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.worker_state IS 'part of rag.status: whether a background worker of this database is running';
", requires = ["bootstrap"])]
fn worker_state() -> &'static str {
    if process::is_standby() {
        return "primary";
    }
    if guc::worker::workers() == 0 {
        return "off";
    }
    if !version::is_current() {
        return "outdated";
    }
    let is_running = match shared_state() {
        Some(state) => state.has_worker(),
        None => admission::locks_of(WorkerKind::Index).running.is_held(),
    };
    if is_running { "running" } else { "none" }
}

/// Bytes of a table with its indexes; `None` where it is gone or locked: reading the progress waits for no
/// lock.
#[pg_extern(sql = r"
CREATE FUNCTION rag.size_unless_locked(relation oid) RETURNS bigint
    VOLATILE STRICT PARALLEL RESTRICTED LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.size_unless_locked IS 'part of rag.generation_status: pg_total_relation_size, but NULL where it would wait';
", requires = ["bootstrap"])]
fn size_unless_locked(relation: pg_sys::Oid) -> Option<i64> {
    let mode = pg_sys::AccessShareLock.cast_signed();
    // SAFETY: in a transaction. The lock is given back below, or by the abort that follows an ERROR.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(relation, mode) {
            return None;
        }
        let size =
            pgrx::direct_function_call(pg_sys::pg_total_relation_size, &[relation.into_datum()]);
        pg_sys::UnlockRelationOid(relation, mode);
        size
    }
}

/// Documents with a job of both generations: dead ones of both (`dead`), or those that are not dead in the first. As
/// part of the view the planner, which knows no sizes of generations, would have it compiled, for 0.3 s. 0 for a caller
/// that may not see the progress of both.
#[pg_extern(sql = r"
CREATE FUNCTION rag.jobs_of_both(generation int, other int, dead boolean) RETURNS bigint
    STABLE STRICT PARALLEL RESTRICTED LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.jobs_of_both IS 'part of rag.generation_status: documents that wait, or were given up, in two generations';
", requires = ["catalog"])]
fn jobs_of_both(generation: i32, other: i32, dead: bool) -> i64 {
    let may_see = statement!("api/status_may_see");
    let generations = [generation.into(), other.into()];
    if plan::read(may_see, &generations, |row| required::<bool>(row, 1)) != [true] {
        return 0;
    }
    let count = statement!("api/status_jobs_of_both");
    let args = [generation.into(), other.into(), dead.into()];
    without_jit(|| as_extension_owner(|| plan::read(count, &args, |row| required(row, 1))[0]))
}
