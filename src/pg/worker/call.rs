//! Calling a worker when a transaction that wrote changes ends.
#![allow(unsafe_code)] // callbacks of transactions

use super::board::board;
use super::turnstile::{RUNNING, WRITING};
use crate::pg::guc;
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::{pg_guard, pg_sys};
use std::sync::Once;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Whether this transaction wrote to `rag.change`.
static WROTE: AtomicBool = AtomicBool::new(false);

/// Notes that this transaction wrote to `rag.change`, so that a worker is called when it commits.
pub fn changes_written() {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        // SAFETY: the callback lives as long as the process: libraries are never unloaded.
        unsafe { pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut()) };
    });
    WROTE.store(true, Relaxed);
}

/// Whether workers are called through shared memory.
pub fn has_board() -> bool {
    board().is_some()
}

/// Calls a worker at once, whatever becomes of this transaction: it left something in shared memory.
pub fn call_now() {
    if let Some(board) = board() {
        // SAFETY: reads this process's variable.
        board.changes_committed(unsafe { pg_sys::MyDatabaseId });
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _arg: *mut std::ffi::c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT
            if WROTE.load(Relaxed) && board().is_none() && guc::worker::workers() > 0 =>
        {
            // SAFETY: in a transaction that has written, so it has an id.
            call_unless_running(unsafe { pg_sys::GetTopTransactionIdIfAny() });
        }
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE if WROTE.load(Relaxed) => {
            WRITING.share();
            if board().is_none() && guc::worker::workers() > 0 {
                call_unless_running(pg_sys::InvalidTransactionId); // It may be long until that ends.
            }
        }
        // From here on an error would be a PANIC: flags and latches only.
        pg_sys::XactEvent::XACT_EVENT_COMMIT | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
            // A worker that is called for a prepared transaction looks again until that has ended.
            if WROTE.swap(false, Relaxed)
                && let Some(board) = board()
            {
                // SAFETY: reads this process's variable.
                board.changes_committed(unsafe { pg_sys::MyDatabaseId });
            }
        }
        pg_sys::XactEvent::XACT_EVENT_ABORT => WROTE.store(false, Relaxed),
        _ => {}
    }
}

/// Without preloading: registers a worker, which starts at once and waits for the end of `transaction`.
/// Where none can be had, documents stay pending, which `rag.status` shows; the user's transaction does
/// not fail.
fn call_unless_running(transaction: pg_sys::TransactionId) {
    // SAFETY: reads flags of this process.
    if unsafe { pg_sys::IsBinaryUpgrade || !pg_sys::IsUnderPostmaster } {
        return;
    }
    // Where even WRITING is not to be had, the worker there is is about to leave.
    if WRITING.try_shared() {
        if !RUNNING.try_exclusive() {
            return;
        }
        RUNNING.release();
    }
    // SAFETY: reads this process's variable.
    let database = unsafe { pg_sys::MyDatabaseId };
    let _ = worker(database).set_extra(&transaction.into_inner().to_string()).load_dynamic();
}

/// A worker for a database.
pub fn worker(database: pg_sys::Oid) -> BackgroundWorkerBuilder {
    BackgroundWorkerBuilder::new("rag_pg worker")
        .set_library("rag_pg")
        .set_function("rag_pg_worker_main")
        .set_argument(Some(pg_sys::Datum::from(database)))
        .set_restart_time(None)
        .enable_spi_access()
}
