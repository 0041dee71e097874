//! Processes that build an index: called for, counted and ended.

use crate::sys::process;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::query;
use crate::sys::workers::turnstile;
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long to wait before a build is tried again. A call takes its time too.
pub const AGAIN: Duration = Duration::from_secs(30);

/// Most builders of a database.
const BUILDERS: u32 = 2;

thread_local! {
    /// When this process last called for a generation's index.
    static CALLED: RefCell<HashMap<i32, Instant>> = RefCell::new(HashMap::new());
}

/// Sees to it that a process builds the index of a generation. False when none can be had.
pub fn call(generation: i32) -> bool {
    let is_recent = |at: &Instant| at.elapsed() < AGAIN;
    if CALLED.with_borrow(|called| called.get(&generation).is_some_and(is_recent)) {
        return true;
    }
    let lock = turnstile::building(generation);
    if !lock.try_exclusive() {
        return true;
    }
    lock.release();
    // The others wait for their turn: processes of the server are few, and a build may wait for long.
    let Some(slot) = free_slot() else { return true };
    slot.release();
    let database = process::database();
    let called = BackgroundWorkerBuilder::new("rag_pg index builder")
        .set_library("rag_pg")
        .set_function("rag_pg_builder_main")
        .set_argument(Some(pg_sys::Datum::from(database)))
        .set_extra(&generation.to_string())
        .set_restart_time(None)
        .enable_spi_access()
        .load_dynamic()
        .is_ok();
    if called {
        CALLED.with_borrow_mut(|called| called.insert(generation, Instant::now()));
    }
    called
}

/// Takes one of the locks of which a database's builders have one each, if any is free.
pub fn free_slot() -> Option<turnstile::Lock> {
    (0..BUILDERS).map(turnstile::building_slot).find(|slot| slot.try_exclusive())
}

/// Ends whoever builds an index of these generations, whose tables are about to be dropped. Where they are not
/// dropped after all, another one is called before long.
pub fn stop(generations: &[i32]) {
    let Some(first) = generations.first() else { return };
    let (database, kind, class) = turnstile::building(*first).fields();
    let all: Vec<i64> = generations.iter().map(|id| i64::from(*id)).collect();
    let args = [database.into(), kind.into(), class.into(), all.into()];
    as_extension_owner(|| {
        query(statement!("sys/stop_builders"), &args, |_| ());
    });
}

/// Ends whoever builds an index in this database.
pub fn stop_all() {
    as_extension_owner(|| {
        query(statement!("sys/stop_all_builders"), &[], |_| ());
    });
}
