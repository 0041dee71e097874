//! Index builders, the processes that build a vector index: started, limited in number, terminated.

use crate::sys::process;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::query;
use crate::sys::workers::admission;
use crate::sys::workers::admission::AdvisoryLock;
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long to wait before a build is retried.
pub const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Most builders of a database.
const BUILDERS: u32 = 2;

thread_local! {
    /// When this process last started a builder, by generation.
    static STARTED: RefCell<HashMap<i32, Instant>> = RefCell::new(HashMap::new());
}

/// Starts a builder for a generation unless one is running or was started a moment ago. False if no process is free.
pub fn start(generation: i32) -> bool {
    let is_recent = |at: &Instant| at.elapsed() < RETRY_AFTER;
    if STARTED.with_borrow(|started| started.get(&generation).is_some_and(is_recent)) {
        return true;
    }
    let lock = admission::index_build(generation);
    if !lock.try_exclusive() {
        return true;
    }
    lock.release();
    // Other generations wait: `max_worker_processes` are few, and a build may wait for a long transaction.
    let Some(slot) = free_slot() else { return true };
    slot.release();
    let database = process::database();
    let is_started = BackgroundWorkerBuilder::new("rag_pg index builder")
        .set_library("rag_pg")
        .set_function("rag_pg_builder_main")
        .set_argument(Some(pg_sys::Datum::from(database)))
        .set_extra(&generation.to_string())
        .set_restart_time(None)
        .enable_spi_access()
        .load_dynamic()
        .is_ok();
    if is_started {
        STARTED.with_borrow_mut(|started| started.insert(generation, Instant::now()));
    }
    is_started
}

/// Takes one of the slots for builders in this database, if one is free.
pub fn free_slot() -> Option<AdvisoryLock> {
    (0..BUILDERS).map(admission::builder_slot).find(|slot| slot.try_exclusive())
}

/// Terminates the builders of generations whose tables are about to be dropped. If the DROP is rolled back, a worker starts
/// them again.
pub fn terminate(generations: &[i32]) {
    let Some(first) = generations.first() else { return };
    let (database, kind, class) = admission::index_build(*first).fields();
    let all: Vec<i64> = generations.iter().map(|id| i64::from(*id)).collect();
    let args = [database.into(), kind.into(), class.into(), all.into()];
    as_extension_owner(|| {
        query(statement!("sys/stop_builders"), &args, |_| ());
    });
}

/// Terminates all builders of this database.
pub fn terminate_all() {
    as_extension_owner(|| {
        query(statement!("sys/stop_all_builders"), &[], |_| ());
    });
}
