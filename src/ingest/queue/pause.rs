//! Pausing what cannot be indexed until an administrator acts.
use crate::sys::failed::Failed;
use crate::sys::lock_retry;
use crate::sys::rights::{as_extension_owner, with_lock_timeout};
use crate::sys::spi::{query, required};
use crate::sys::transaction::Host;

/// Pauses a collection.
pub fn collection(host: &Host, collection: i32, failed: &Failed) -> Result<(), Failed> {
    host.transaction(|| {
        if let Some(name) = note(statement!("ingest/pause"), collection, failed) {
            pgrx::log!("rag_pg: collection \"{name}\" is paused: {}", failed.reason());
        }
        Ok(())
    })
}

/// Pauses one generation, whose model or tables cannot be used; the collection's other generations go on.
pub fn generation(host: &Host, generation: i32, failed: &Failed) -> Result<(), Failed> {
    host.transaction(|| {
        if let Some(name) = note(statement!("ingest/pause_generation"), generation, failed) {
            pgrx::log!(
                "rag_pg: generation {generation} of collection \"{name}\" is paused: {}",
                failed.reason()
            );
        }
        Ok(())
    })
}

/// Stores the reason and returns the collection's name.
fn note(sql: &str, id: i32, failed: &Failed) -> Option<String> {
    let args =
        [id.into(), failed.summary().into(), failed.reason().into(), failed.sqlstate().into()];
    with_lock_timeout(lock_retry::SHORT, || {
        as_extension_owner(|| query(sql, &args, |row| required(&row, 1))).pop()
    })
}
