//! Shared memory of the server.
#![allow(unsafe_code)] // a flag of this process
use pgrx::pg_sys;

/// Whether the postmaster is loading `shared_preload_libraries` right now: the one time at which shared memory can be
/// reserved.
pub fn is_preloading() -> bool {
    // SAFETY: reads a flag of this process.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}
