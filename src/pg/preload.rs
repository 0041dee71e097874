//! Models loaded once by the postmaster and inherited by every process it forks.

/// Whether the postmaster is loading `shared_preload_libraries` right now.
#[allow(unsafe_code)]
pub fn is_preloading() -> bool {
    // SAFETY: reads a flag of this process.
    unsafe { pgrx::pg_sys::process_shared_preload_libraries_in_progress }
}
