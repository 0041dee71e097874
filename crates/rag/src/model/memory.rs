//! Memory that the C library keeps after large runs.
#![allow(unsafe_code)] // The allocator is libc's.

/// Gives free memory back to the system. glibc raises its thresholds for doing so by itself to tens
/// of megabytes once blocks of that size were freed.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: releases pages of free blocks only; any thread may call it at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
