//! How workers yield to a session that wants exclusive use of their database: to drop, rename or copy it.
#![allow(unsafe_code)] // a lock on the database, and a variable of this process

use crate::sys::exit;
use crate::sys::process;
use crate::sys::transaction::Host;
use crate::sys::workers::admission::try_acquire;
use crate::sys::workers::builder_control;
use crate::sys::workers::shared_state::{WorkerKind, shared_state};
use crate::sys::workers::wake::worker;
use pgrx::pg_sys;

/// Whether a session is about to drop, rename or copy this database: it waits for at most five seconds until no other
/// process is connected, and holds a lock on the database meanwhile.
pub fn is_database_requested() -> bool {
    let tag = pg_sys::LOCKTAG {
        locktag_field1: 0, // It is shared by all databases.
        locktag_field2: pg_sys::DatabaseRelationId.to_u32(),
        locktag_field3: process::database().to_u32(),
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    };
    // The mode in which a new connection locks it.
    let mode = pg_sys::RowExclusiveLock;
    if !try_acquire(&tag, mode, true) {
        return true;
    }
    // SAFETY: taken above.
    unsafe { pg_sys::LockRelease(&raw const tag, mode.cast_signed(), true) };
    false
}

/// Ends this indexing worker and the database's index builders.
pub fn yield_database(host: &Host) -> ! {
    terminate_builders(host);
    end_worker(WorkerKind::Index)
}

/// Ends the database's index builders.
pub fn terminate_builders(host: &Host) {
    let terminated = host.transaction(|| {
        builder_control::terminate_all();
        Ok(())
    });
    terminated.unwrap_or_else(|failed| failed.warn());
}

/// Ends this worker. Another is started when the database can be connected to again.
pub fn end_worker(kind: WorkerKind) -> ! {
    let database = process::database();
    match shared_state() {
        Some(state) => {
            if let Some(entry) = state.entry(database) {
                entry.slots(kind).request_wake();
            }
        }
        None => {
            let _ = worker(database, kind).load_dynamic();
        }
    }
    exit::end_process(0)
}
