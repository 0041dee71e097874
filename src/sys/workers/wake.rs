//! Wakes or starts a worker when a transaction that wrote changes ends.
#![allow(unsafe_code)] // callbacks of transactions

use crate::sys::guc;
use crate::sys::process;
use crate::sys::version;
use crate::sys::workers::admission;
use crate::sys::workers::admission::WorkerLocks;
use crate::sys::workers::shared_state::{WorkerKind, shared_state};
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::{pg_guard, pg_sys};
use std::sync::Once;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// By kind, whether this transaction wrote work for its workers.
static WROTE: [AtomicBool; WorkerKind::ALL.len()] =
    [const { AtomicBool::new(false) }; WorkerKind::ALL.len()];

/// Notes that this transaction wrote to `rag.change`: a worker is woken when it commits.
pub fn changes_written() {
    written(WorkerKind::Index);
}

/// Notes that this transaction submitted or canceled an answer: a worker is woken when it commits.
pub fn answers_written() {
    written(WorkerKind::Answer);
}

fn written(kind: WorkerKind) {
    static REGISTER: Once = Once::new();
    // Without the launcher each commit would start a worker, which finds that it must leave.
    if shared_state().is_none() && !version::is_current() {
        return;
    }
    REGISTER.call_once(|| {
        // SAFETY: the callback lives as long as the process: libraries are never unloaded.
        unsafe { pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut()) };
    });
    WROTE[kind as usize].store(true, Relaxed);
}

/// Whether workers are woken through shared memory.
pub fn has_shared_state() -> bool {
    shared_state().is_some()
}

/// Wakes the indexing workers at once, even if this transaction aborts: it left records in shared memory.
pub fn wake_indexer() {
    if let Some(state) = shared_state() {
        state.wake(process::database(), WorkerKind::Index);
    }
}

/// Wakes the workers of a kind for work that is committed.
pub fn wake(kind: WorkerKind) {
    match shared_state() {
        Some(state) => state.wake(process::database(), kind),
        None => start_unless_running(pg_sys::InvalidTransactionId, kind),
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _arg: *mut std::ffi::c_void) {
    for kind in WorkerKind::ALL {
        at_end_for(kind, event);
    }
}

fn at_end_for(kind: WorkerKind, event: pg_sys::XactEvent::Type) {
    let wrote = &WROTE[kind as usize];
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT
            if wrote.load(Relaxed) && shared_state().is_none() && guc::worker::workers() > 0 =>
        {
            // SAFETY: in a transaction that has written, so it has an id.
            start_unless_running(unsafe { pg_sys::GetTopTransactionIdIfAny() }, kind);
        }
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE if wrote.load(Relaxed) => {
            admission::locks_of(kind).writing.lock_shared();
            if shared_state().is_none() && guc::worker::workers() > 0 {
                // It may be long until that transaction ends.
                start_unless_running(pg_sys::InvalidTransactionId, kind);
            }
        }
        // From here on an error would be a PANIC: flags and latches only.
        pg_sys::XactEvent::XACT_EVENT_COMMIT | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
            // A worker that is woken for a prepared transaction looks again until that has ended.
            if wrote.swap(false, Relaxed)
                && let Some(state) = shared_state()
            {
                state.wake(process::database(), kind);
            }
        }
        pg_sys::XactEvent::XACT_EVENT_ABORT => wrote.store(false, Relaxed),
        _ => {}
    }
}

/// Without preloading: registers a worker, which starts at once and waits for the end of `transaction`. If no process is
/// free, the work stays queued, which `rag.status` and `rag.answer_request` show; the user's transaction does not fail.
fn start_unless_running(transaction: pg_sys::TransactionId, kind: WorkerKind) {
    if !process::serves_clients() || !process::is_under_postmaster() {
        return;
    }
    let WorkerLocks { running, writing } = admission::locks_of(kind);
    // If `writing` is not available, the running worker is about to exit.
    if writing.try_shared() {
        if !running.try_exclusive() {
            return;
        }
        running.release();
    }
    let database = process::database();
    let _ = worker(database, kind).set_extra(&transaction.into_inner().to_string()).load_dynamic();
}

/// Without preloading: registers an answer worker if none is running. Requests that were queued when the server stopped or a
/// worker was terminated would wait for the next one otherwise.
pub fn ensure_answer_worker() {
    let can_start = process::is_under_postmaster() && !process::is_standby();
    if !can_start || has_shared_state() || guc::worker::workers() == 0 {
        return;
    }
    if !admission::locks_of(WorkerKind::Answer).running.is_held() {
        let database = process::database();
        let _ = worker(database, WorkerKind::Answer).load_dynamic();
    }
}

/// A worker to register for a database.
pub fn worker(database: pg_sys::Oid, kind: WorkerKind) -> BackgroundWorkerBuilder {
    let function = match kind {
        WorkerKind::Index => "rag_pg_worker_main",
        WorkerKind::Answer => "rag_pg_answer_worker_main",
    };
    BackgroundWorkerBuilder::new(kind.process_name())
        .set_library("rag_pg")
        .set_function(function)
        .set_argument(Some(pg_sys::Datum::from(database)))
        .set_restart_time(None)
        .enable_spi_access()
}
