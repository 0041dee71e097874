//! A background worker: drains one of a database's queues and exits when it has been idle for a while.
#![allow(unsafe_code)] // a process of the server's

use crate::models::local as model;
use crate::sys::background::{attach, connect, lower_priority, micros, until, wait};
use crate::sys::failed::Failed;
use crate::sys::guc;
use crate::sys::process::now;
use crate::sys::transaction::Host;
use crate::sys::version::require_current;
use crate::sys::workers::admission;
use crate::sys::workers::admission::WorkerLocks;
use crate::sys::workers::shared_state::{WorkerKind, WorkerSlots, shared_state};
use crate::sys::workers::yield_database::{end_worker, is_database_requested};
use crate::worker::answers::AnswerWork;
use crate::worker::drain::Drain;
use crate::worker::work::{TurnEnd, Work};
use pgrx::bgworkers::BackgroundWorker;
use pgrx::{FromDatum, pg_guard, pg_sys};
use std::time::{Duration, Instant};

/// A worker that was idle for this long exits.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an idle worker checks whether a session waits for its database, which it does for five seconds.
const DATABASE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How often to look for work without shared memory, where no process sets this one's latch.
const LATCHLESS_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How often to look for results while other threads of this process work.
const THREADS_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How often to look for changes of a prepared transaction while one exists.
const PREPARED_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait after a failure of the queue itself.
const FAILURE_DELAY: Duration = Duration::from_secs(5);

/// Entry point of indexing workers; the argument is the database, the extra text the transaction to wait for.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_pg_worker_main(argument: pg_sys::Datum) {
    run_worker(argument, WorkerKind::Index, || {
        lower_priority();
        model::set_threads(guc::worker::threads());
        Drain::new(Host::worker(), None)
    });
}

/// Entry point of answer workers; the same arguments.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_pg_answer_worker_main(argument: pg_sys::Datum) {
    run_worker(argument, WorkerKind::Answer, || AnswerWork::new(Host::worker()));
}

fn run_worker<W: Work>(argument: pg_sys::Datum, kind: WorkerKind, begin: impl FnOnce() -> W) {
    attach();
    // SAFETY: the process that registered this worker passed an OID.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) }.unwrap_or_default();
    connect(database);
    let transaction: u32 = BackgroundWorker::get_extra().parse().unwrap_or_default();
    if !wait_for_registrant(database, transaction, kind) {
        return;
    }
    if let Some(registration) = Registration::new(database, kind) {
        Worker { work: begin(), kind, registration, next_ready_at: None }.run();
    }
}

/// Waits for the end of the transaction that registered this worker. False if the extension does not exist, or its objects are of
/// another version than this library.
fn wait_for_registrant(database: pg_sys::Oid, transaction: u32, kind: WorkerKind) -> bool {
    let host = Host::worker();
    let waited = host.transaction(|| {
        if transaction != 0 {
            let xid = pg_sys::TransactionId::from_inner(transaction);
            let none = pg_sys::XLTW_Oper::XLTW_None;
            // SAFETY: in a transaction; an id that is no longer running returns at once.
            unsafe {
                pg_sys::XactLockTableWait(xid, std::ptr::null_mut(), std::ptr::null_mut(), none);
            };
        }
        if shared_state().is_none() {
            // Waits for another worker that is deciding whether to exit.
            admission::locks_of(kind).writing.lock_shared();
        }
        Ok(())
    });
    waited.is_ok() && has_extension(&host) == Some(true) && is_current(&host, database)
}

/// Whether this library's statements fit the database. Else the log tells what to do, once until they do, and `rag.status` goes on
/// telling it.
fn is_current(host: &Host, database: pg_sys::Oid) -> bool {
    let current = host.transaction(require_current);
    let entry = shared_state().and_then(|state| state.entry(database));
    let was_logged = entry.is_some_and(|entry| entry.set_outdated_logged(current.is_err()));
    if let Err(failed) = &current
        && !was_logged
    {
        failed.warn();
    }
    current.is_ok()
}

/// Whether the extension exists; it may be dropped at any time. `None` if the look-up failed.
fn has_extension(host: &Host) -> Option<bool> {
    let found = host.transaction(|| {
        // SAFETY: a catalog look-up in a transaction.
        Ok(unsafe { pg_sys::get_extension_oid(c"rag_pg".as_ptr(), true) } != pg_sys::InvalidOid)
    });
    found.ok()
}

/// How writers find this worker.
#[derive(Clone, Copy)]
enum Registration {
    /// By its latch in shared memory.
    Latch(&'static WorkerSlots),
    /// By a lock.
    Lock(WorkerLocks),
}

impl Registration {
    /// `None` if there are enough workers already.
    fn new(database: pg_sys::Oid, kind: WorkerKind) -> Option<Self> {
        let Some(state) = shared_state() else {
            let admission = admission::locks_of(kind);
            return admission.running.try_exclusive().then_some(Self::Lock(admission));
        };
        let slots = state.entry(database)?.slots(kind);
        if !slots.register_worker(kind.max_workers()) {
            return None;
        }
        // SAFETY: the slots lie in shared memory, which outlives the process.
        unsafe {
            let slots = std::ptr::from_ref(slots) as usize;
            pg_sys::before_shmem_exit(Some(unregister), pg_sys::Datum::from(slots));
        }
        Some(Self::Latch(slots))
    }

    /// Whether a writer asked for a look since this was last called.
    fn take_wake_request(self) -> bool {
        match self {
            Self::Latch(slots) => slots.take_wake_request(),
            Self::Lock(_) => false,
        }
    }

    /// When to look for changes of a prepared transaction, if one exists.
    fn prepared_check_due(self, kind: WorkerKind) -> Option<i64> {
        if matches!(self, Self::Lock(_)) {
            return None; // The worker does not exit while `writing` is held.
        }
        let writing = admission::locks_of(kind).writing;
        if writing.try_exclusive() {
            writing.release();
            return None;
        }
        Some(now() + micros(PREPARED_POLL_INTERVAL))
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn unregister(code: std::ffi::c_int, slots: pg_sys::Datum) {
    // SAFETY: the slots of the registration, in shared memory.
    let slots = unsafe { &*(slots.value() as *const WorkerSlots) };
    slots.unregister_worker();
    if code != 0
        && let Some(state) = shared_state()
    {
        // It was terminated, or failed: its work is still to be done.
        slots.set_wake_at(Some(now() + micros(FAILURE_DELAY)));
        state.wake_launcher();
    }
}

struct Worker<W> {
    work: W,
    kind: WorkerKind,
    registration: Registration,
    /// When the next job is due, as a `timestamptz`, as far as is known.
    next_ready_at: Option<i64>,
}

impl<W: Work> Worker<W> {
    fn run(mut self) {
        if let Err(failed) = self.work.begin() {
            failed.warn();
        }
        // A worker that finds no work exits at once.
        let mut worked_at: Option<Instant> = None;
        loop {
            if guc::worker::workers() == 0 {
                self.work.shut_down();
                break;
            }
            if is_database_requested() {
                self.work.shut_down();
                end_worker(self.kind);
            }
            match self.turn() {
                Ok(TurnEnd::Worked) => {
                    worked_at = Some(Instant::now());
                    wait(Duration::ZERO);
                }
                Ok(TurnEnd::Underway) => {
                    worked_at = Some(Instant::now());
                    wait(THREADS_POLL_INTERVAL);
                }
                Ok(TurnEnd::Idle { .. }) => {
                    let is_timed_out = worked_at.is_none_or(|at| at.elapsed() >= IDLE_TIMEOUT);
                    // What could not be stored is stored by the next attempt.
                    let is_awaited = self.next_ready_at.is_some() && self.work.holds_results();
                    if is_timed_out && !is_awaited && self.unregister_if_idle() {
                        break;
                    }
                    self.work.host().show(None);
                    wait(self.sleep_time(worked_at));
                }
                Err(_) if has_extension(self.work.host()) == Some(false) => break,
                Err(failed) => {
                    failed.warn();
                    wait(FAILURE_DELAY);
                }
            }
        }
    }

    fn turn(&mut self) -> Result<TurnEnd, Failed> {
        // Taken before looking: later changes request another turn.
        let is_wake_requested = self.registration.take_wake_request();
        let turn = self.work.turn(is_wake_requested)?;
        if let TurnEnd::Idle { ready_at, .. } = turn {
            let times = [ready_at, self.registration.prepared_check_due(self.kind)];
            self.next_ready_at = times.into_iter().flatten().min();
        }
        Ok(turn)
    }

    /// Unregisters the worker so that it can exit. False if there is work after all.
    fn unregister_if_idle(&mut self) -> bool {
        self.work.host().reached("leaving");
        match self.registration {
            Registration::Latch(slots) => {
                slots.set_wake_at(self.next_ready_at);
                slots.unregister_worker();
                !slots.take_wake_request() || !slots.register_worker(self.kind.max_workers())
            }
            Registration::Lock(WorkerLocks { running, writing }) => {
                if self.next_ready_at.is_some() || !writing.try_exclusive() {
                    return false;
                }
                // Transactions that committed since the last look relied on this worker.
                let is_idle =
                    matches!(self.turn(), Ok(TurnEnd::Idle { .. })) && self.next_ready_at.is_none();
                if is_idle {
                    running.release();
                }
                writing.release();
                is_idle
            }
        }
    }

    fn sleep_time(&self, worked_at: Option<Instant>) -> Duration {
        let idle = worked_at.map_or(IDLE_TIMEOUT, |at| at.elapsed());
        let time = match self.registration {
            Registration::Latch(_) => IDLE_TIMEOUT
                .saturating_sub(idle)
                .clamp(LATCHLESS_POLL_INTERVAL, DATABASE_CHECK_INTERVAL),
            Registration::Lock(_) => LATCHLESS_POLL_INTERVAL,
        };
        self.next_ready_at.map_or(time, |at| time.min(until(at)))
    }
}
