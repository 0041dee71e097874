//! Keeps long pure work cancellable.
use pgrx::pg_sys::submodules::thread_check::check_active_thread;
use rag::{Result, memory};

/// The checkpoint that glue hands to pure code: acts on a cancel, a `statement_timeout` or the end
/// of the backend by unwinding, and fails where memory ran out.
///
/// It also claims this thread for pgrx, which otherwise takes the first thread that calls
/// PostgreSQL for the main one.
pub fn checkpoint() -> Result<()> {
    check_active_thread();
    crate::sys::memory::end_for_thread();
    pgrx::check_for_interrupts!();
    memory::check()
}
