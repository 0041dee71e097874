//! Keeps long pure work cancellable.
use crate::Result;
use pgrx::pg_sys::submodules::thread_check::check_active_thread;

/// The checkpoint that glue hands to pure code: acts on a cancel, a `statement_timeout` or the end
/// of the backend by unwinding.
///
/// It also claims this thread for pgrx, which otherwise takes the first thread that calls
/// PostgreSQL for the main one.
// The signature is `Checkpoint`'s; an interrupt does not return.
#[allow(clippy::unnecessary_wraps)]
pub fn checkpoint() -> Result<()> {
    check_active_thread();
    pgrx::check_for_interrupts!();
    Ok(())
}
