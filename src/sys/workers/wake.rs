//! Calling a worker when a transaction that wrote changes ends.
#![allow(unsafe_code)] // callbacks of transactions

use crate::sys::guc;
use crate::sys::process;
use crate::sys::workers::board::board;
use crate::sys::workers::duty::Duty;
use crate::sys::workers::turnstile;
use crate::sys::workers::turnstile::Turnstile;
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::{pg_guard, pg_sys};
use std::sync::Once;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// For each duty, whether this transaction wrote something that is its workers' to do.
static WROTE: [AtomicBool; Duty::ALL.len()] = [const { AtomicBool::new(false) }; Duty::ALL.len()];

/// Notes that this transaction wrote to `rag.change`, so that a worker is called when it commits.
pub fn changes_written() {
    written(Duty::Index);
}

/// Notes that this transaction submitted or canceled an answer, so that a worker is called when it commits.
pub fn answers_written() {
    written(Duty::Answer);
}

fn written(duty: Duty) {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        // SAFETY: the callback lives as long as the process: libraries are never unloaded.
        unsafe { pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut()) };
    });
    WROTE[duty as usize].store(true, Relaxed);
}

/// Whether workers are called through shared memory.
pub fn has_board() -> bool {
    board().is_some()
}

/// Calls a worker at once, whatever becomes of this transaction: it left something in shared memory.
pub fn call_now() {
    if let Some(board) = board() {
        board.call(process::database(), Duty::Index);
    }
}

/// Calls a worker for something that is already there for all to see.
pub fn call(duty: Duty) {
    match board() {
        Some(board) => board.call(process::database(), duty),
        None => call_unless_running(pg_sys::InvalidTransactionId, duty),
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _arg: *mut std::ffi::c_void) {
    for duty in Duty::ALL {
        at_end_for(duty, event);
    }
}

fn at_end_for(duty: Duty, event: pg_sys::XactEvent::Type) {
    let wrote = &WROTE[duty as usize];
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT
            if wrote.load(Relaxed) && board().is_none() && guc::worker::workers() > 0 =>
        {
            // SAFETY: in a transaction that has written, so it has an id.
            call_unless_running(unsafe { pg_sys::GetTopTransactionIdIfAny() }, duty);
        }
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE if wrote.load(Relaxed) => {
            turnstile::of(duty).writing.share();
            if board().is_none() && guc::worker::workers() > 0 {
                // It may be long until that ends.
                call_unless_running(pg_sys::InvalidTransactionId, duty);
            }
        }
        // From here on an error would be a PANIC: flags and latches only.
        pg_sys::XactEvent::XACT_EVENT_COMMIT | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
            // A worker that is called for a prepared transaction looks again until that has ended.
            if wrote.swap(false, Relaxed)
                && let Some(board) = board()
            {
                board.call(process::database(), duty);
            }
        }
        pg_sys::XactEvent::XACT_EVENT_ABORT => wrote.store(false, Relaxed),
        _ => {}
    }
}

/// Without preloading: registers a worker, which starts at once and waits for the end of `transaction`.
/// Where none can be had, the work stays where it is, which `rag.status` and `rag.answer_request` show; the
/// user's transaction does not fail.
fn call_unless_running(transaction: pg_sys::TransactionId, duty: Duty) {
    if !process::serves_clients() || !process::is_under_postmaster() {
        return;
    }
    let Turnstile { running, writing } = turnstile::of(duty);
    // Where even `writing` is not to be had, the worker there is is about to leave.
    if writing.try_shared() {
        if !running.try_exclusive() {
            return;
        }
        running.release();
    }
    let database = process::database();
    let _ = worker(database, duty).set_extra(&transaction.into_inner().to_string()).load_dynamic();
}

/// Without preloading: registers a worker if there is none. What was queued when a server stopped, or a worker was ended,
/// is nobody's until somebody asks for it.
pub fn answers_awaited() {
    let may_be = process::is_under_postmaster() && !process::is_standby();
    if !may_be || board().is_some() || guc::worker::workers() == 0 {
        return;
    }
    if !turnstile::of(Duty::Answer).running.is_held() {
        let database = process::database();
        let _ = worker(database, Duty::Answer).load_dynamic();
    }
}

/// A worker for a database.
pub fn worker(database: pg_sys::Oid, duty: Duty) -> BackgroundWorkerBuilder {
    let function = match duty {
        Duty::Index => "rag_pg_worker_main",
        Duty::Answer => "rag_pg_answer_worker_main",
    };
    BackgroundWorkerBuilder::new(duty.process_name())
        .set_library("rag_pg")
        .set_function(function)
        .set_argument(Some(pg_sys::Datum::from(database)))
        .set_restart_time(None)
        .enable_spi_access()
}
