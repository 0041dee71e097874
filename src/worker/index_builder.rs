//! The process that builds a vector index concurrently, while workers index documents.
#![allow(unsafe_code)] // a process of the server's

use crate::catalog::target::{Target, warn_about};
use crate::catalog::vector_index;
use crate::ingest::index_ddl::{IndexPlan, add_dependency, note_built};
use crate::sys::background::{attach, connect, lower_priority, set};
use crate::sys::failed::Failed;
use crate::sys::names::role_name;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::execute;
use crate::sys::transaction::Host;
use crate::sys::workers::admission;
use crate::sys::workers::builder_control;
use crate::sys::workers::wake::changes_written;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::{FromDatum, pg_guard, pg_sys};
use std::ffi::CString;

/// Entry point; the argument is the database, the extra text the generation.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_pg_builder_main(argument: pg_sys::Datum) {
    attach();
    // SAFETY: the process that registered this one passed an OID.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) }.unwrap_or_default();
    connect(database);
    let Ok(generation) = BackgroundWorker::get_extra().parse::<i32>() else { return };
    lower_priority();
    // CREATE INDEX CONCURRENTLY waits for old transactions; no process waits for it.
    set(c"lock_timeout", c"0");
    let host = Host::worker();
    // Held until the process ends, however it does.
    if builder_control::free_slot().is_none() || !admission::index_build(generation).try_exclusive()
    {
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
        // Holds the lock, so that no other builder starts before the retry is due.
        let _ = host.sleep(builder_control::RETRY_AFTER);
    }
}

/// Each concurrent statement commits by itself. An invalid index that a crash leaves is dropped by the next build.
fn build(host: &Host, generation: i32) -> Result<(), Failed> {
    let plan = host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(None) };
        let plan = IndexPlan::load(&target);
        if plan.is_none() && !target.generation.is_loaded {
            note_built(&target); // It wants no index.
        }
        if plan.is_some() {
            vector_index::restrain_build(set);
            // For the rest of the process: what is altered by name is altered with the rights of the table's owner.
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
        let sql = statement!("worker/index_begun");
        as_extension_owner(|| execute(sql, &[generation.into(), plan.name.as_str().into()]));
        Ok(())
    })?;
    host.utility(&plan.create_concurrently)?;
    for index in &plan.replaced {
        host.utility(&drop_index(index))?;
    }
    host.transaction(|| {
        if let Some(target) = Target::load(generation)? {
            add_dependency(&target, &plan.name);
            note_built(&target);
            // The switch to this generation may have waited for the index.
            changes_written();
        }
        Ok(())
    })
}

fn drop_index(name: &str) -> String {
    format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")
}
