//! The process that builds a vector index concurrently, while workers go on.
#![allow(unsafe_code)] // a process of the server's

use super::call::changes_written;
use super::collection::{Target, warn_about};
use super::failed::Failed;
use super::host::Host;
use super::process::{attach, connect, set};
use super::vector_index::{Plan, note_built, own};
use super::{priority, turnstile};
use crate::pg::rights::{as_extension_owner, role_name};
use crate::pg::spi::{execute, query};
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder};
use pgrx::{FromDatum, pg_guard, pg_sys};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::time::{Duration, Instant};

/// How long to wait before a build is tried again. A call takes its time too.
const AGAIN: Duration = Duration::from_secs(30);

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
    // SAFETY: reads this process's variable.
    let database = unsafe { pg_sys::MyDatabaseId };
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
fn free_slot() -> Option<turnstile::Lock> {
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
        query(include_str!("../../../sql/run/stop_builders.sql"), &args, |_| ());
    });
}

/// Ends whoever builds an index in this database.
pub fn stop_all() {
    as_extension_owner(|| {
        query(include_str!("../../../sql/run/stop_all_builders.sql"), &[], |_| ());
    });
}

/// Entry point; the argument is the database, the extra text the generation.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_pg_builder_main(argument: pg_sys::Datum) {
    attach();
    // SAFETY: whoever registered this process passed an OID.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) }.unwrap_or_default();
    connect(database);
    let Ok(generation) = BackgroundWorker::get_extra().parse::<i32>() else { return };
    priority::give_way();
    // A build waits for whoever it must; nobody waits for it.
    set(c"lock_timeout", c"0");
    let host = Host::worker();
    // Held until the process ends, however it does.
    if free_slot().is_none() || !turnstile::building(generation).try_exclusive() {
        return;
    }
    if let Err(failed) = build(&host, generation) {
        if warn_about(&host, generation, &failed).is_err() {
            failed.warn();
        }
        let noted = host.transaction(|| {
            let sql = "UPDATE rag.progress SET error = $2, sqlstate = $3 WHERE generation_id = $1";
            let args = [generation.into(), failed.reason().into(), failed.sqlstate().into()];
            as_extension_owner(|| execute(sql, &args));
            Ok(())
        });
        if let Err(held) = noted {
            held.warn();
        }
        // Whoever calls meanwhile finds somebody at it.
        let _ = host.sleep(AGAIN);
    }
}

/// Each statement that runs concurrently commits for itself. What a crash leaves behind, an index that is
/// not valid, the next call drops.
fn build(host: &Host, generation: i32) -> Result<(), Failed> {
    let plan = host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(None) };
        let plan = Plan::load(&target);
        if plan.is_none() && !target.generation.is_loaded {
            note_built(&target); // It wants no index.
        }
        if plan.is_some() {
            // From here on, and for good: what is altered by name is altered with the rights of the table's owner.
            let role = role_name(target.collection.owner).unwrap_or_default();
            set(c"role", &CString::new(role).expect("names hold no zero byte"));
        }
        Ok(plan.map(|plan| (plan, target.collection.name)))
    })?;
    let Some((plan, name)) = plan else { return Ok(()) };
    host.show(Some(&format!("rag_pg: building the vector index of \"{name}\"")));
    for index in &plan.broken {
        host.utility(&drop_index(index))?;
    }
    host.transaction(|| {
        let sql = include_str!("../../../sql/run/work_index_begun.sql");
        as_extension_owner(|| execute(sql, &[generation.into(), plan.name.as_str().into()]));
        Ok(())
    })?;
    host.utility(&plan.create_concurrently)?;
    for index in &plan.replaced {
        host.utility(&drop_index(index))?;
    }
    host.transaction(|| {
        if let Some(target) = Target::load(generation)? {
            own(&target, &plan.name);
            note_built(&target);
            // Searches may have waited for it to switch to this generation.
            changes_written();
        }
        Ok(())
    })
}

fn drop_index(name: &str) -> String {
    format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")
}
