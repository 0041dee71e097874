//! Since when shared memory is as it is: since the server started, or started anew after a crash of one process.
#![allow(unsafe_code)] // shared memory

use crate::sys::process;
use pgrx::{PGRXSharedMemory, PgAtomic, pg_guard, pg_shmem_init, pg_sys};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

static STARTED: PgAtomic<Started> =
    // SAFETY: the name is this library's alone.
    unsafe { PgAtomic::new(c"rag_pg started") };

static HAS_STARTED: AtomicBool = AtomicBool::new(false);

/// When this part of shared memory was made.
struct Started(pg_sys::TimestampTz);

// SAFETY: a number that is written once, before any process can read it.
unsafe impl PGRXSharedMemory for Started {}

impl Default for Started {
    fn default() -> Self {
        Self(process::now())
    }
}

/// Reserves the memory; called while the library is loaded.
pub fn init() {
    if process::is_preloading() {
        pg_shmem_init!(STARTED);
        HAS_STARTED.store(true, SeqCst);
    }
}

/// Whether that was before `time`. Without preloading, a crash of one process goes unnoticed.
pub fn is_before(time: pg_sys::TimestampTz) -> bool {
    let started =
        if HAS_STARTED.load(SeqCst) { STARTED.get().0 } else { process::postmaster_start() };
    started < time
}
