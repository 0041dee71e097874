//! A background worker: works off one database's queue and leaves when there is nothing to do.
#![allow(unsafe_code)] // a process of the server's

use super::board::{Entry, board};
use super::builder;
use super::call::worker;
use super::drain::{Drain, Turn};
use super::failed::Failed;
use super::host::Host;
use super::turnstile::{RUNNING, WRITING, is_database_wanted};
use crate::pg::{guc, model};
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::{FromDatum, pg_guard, pg_sys};
use std::time::{Duration, Instant};

/// A worker without work leaves after this long.
const IDLE: Duration = Duration::from_secs(10);
/// How often an idle one looks whether somebody wants its database for himself, who waits for five seconds.
const LOOK: Duration = Duration::from_secs(1);
/// How often to look for work where nobody can set this process's latch.
const POLL: Duration = Duration::from_millis(200);
/// How often to look for what a prepared transaction wrote, while there is one.
const PREPARED: Duration = Duration::from_secs(1);
/// How long to wait after a failure of the queue itself.
const PAUSE: Duration = Duration::from_secs(5);

unsafe extern "C-unwind" {
    // PostgreSQL's own handler of SIGTERM, which ends a running statement. pgrx's would only set a flag,
    // and its binding of this one is a Rust function, which a signal handler may not be.
    fn die(signal: std::ffi::c_int);
}

/// Sets up a background process: ends at once when told to, reads the configuration again on SIGHUP.
pub fn attach() {
    // SAFETY: signals are still blocked; both handlers are PostgreSQL's way.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(pg_sys::SIGTERM.cast_signed(), Some(die));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(pg_sys::SIGTERM.cast_signed(), Some(die));
    }
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP);
}

/// Waits for this process's latch; acts on interrupts and reads the configuration again when asked to.
/// Ends the process when the postmaster is gone: nobody else would, and the server could not be started
/// again beside it.
pub fn wait(most: Duration) {
    if !BackgroundWorker::wait_latch(Some(most)) {
        // SAFETY: leaves the way every process of the server does.
        unsafe { pg_sys::proc_exit(1) };
    }
    if BackgroundWorker::sighup_received() {
        // SAFETY: outside of a transaction, as PostgreSQL's own processes do it.
        unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
    }
}

/// Entry point; the argument is the database, the extra text the transaction to wait for.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_pg_worker_main(argument: pg_sys::Datum) {
    attach();
    // SAFETY: whoever registered this worker passed an OID.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) }.unwrap_or_default();
    // SAFETY: a process that is connected to nothing yet.
    unsafe { pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0) };
    let transaction: u32 = BackgroundWorker::get_extra().parse().unwrap_or_default();
    if !prepare(transaction) {
        return;
    }
    model::set_threads(guc::worker::threads());
    let post = Post::take(database);
    if let Some(post) = post {
        Worker { drain: Drain::new(Host::worker(), None), post, next: None }.run();
    }
}

/// Ends this process so that its database can be dropped, renamed or copied. The worker that is called in its place
/// begins when that is over.
pub fn leave_database(host: &Host) -> ! {
    // SAFETY: reads this process's variable.
    let database = unsafe { pg_sys::MyDatabaseId };
    if let Err(failed) = host.transaction(|| {
        builder::stop_all();
        Ok(())
    }) {
        failed.warn();
    }
    match board() {
        Some(board) => {
            if let Some(entry) = board.entry(database) {
                entry.want();
            }
        }
        None => {
            let _ = worker(database).load_dynamic();
        }
    }
    // SAFETY: leaves the way every process of the server does.
    unsafe { pg_sys::proc_exit(0) }
}

/// Sets the session up and waits for the transaction that called. False where there is no extension.
fn prepare(transaction: u32) -> bool {
    let host = Host::worker();
    set(c"default_transaction_read_only", c"off");
    set(c"default_transaction_isolation", c"read committed");
    let has_extension = host.transaction(|| {
        if transaction != 0 {
            let xid = pg_sys::TransactionId::from_inner(transaction);
            let none = pg_sys::XLTW_Oper::XLTW_None;
            // SAFETY: in a transaction; an id that is no longer running returns at once.
            unsafe {
                pg_sys::XactLockTableWait(xid, std::ptr::null_mut(), std::ptr::null_mut(), none);
            };
        }
        // SAFETY: a catalog look-up in a transaction.
        Ok(unsafe { pg_sys::get_extension_oid(c"rag_pg".as_ptr(), true) } != pg_sys::InvalidOid)
    });
    has_extension.unwrap_or_default()
}

/// Settles a setting for the life of this process, whatever the database's defaults are.
pub fn set(name: &std::ffi::CStr, value: &std::ffi::CStr) {
    let (context, source) = (pg_sys::GucContext::PGC_SUSET, pg_sys::GucSource::PGC_S_OVERRIDE);
    // SAFETY: static texts; a database's defaults do not bind a worker.
    unsafe { pg_sys::SetConfigOption(name.as_ptr(), value.as_ptr(), context, source) };
}

/// How this worker is found by those who write.
#[derive(Clone, Copy)]
enum Post {
    /// By its latch on the board.
    Board(&'static Entry),
    /// By a lock.
    Turnstile,
}

impl Post {
    /// `None` where there are enough workers already.
    fn take(database: pg_sys::Oid) -> Option<Self> {
        let Some(board) = board() else {
            return RUNNING.try_exclusive().then_some(Self::Turnstile);
        };
        let entry = board.entry(database)?;
        if !entry.register_worker() {
            return None;
        }
        // SAFETY: the entry lies in shared memory, which outlives the process.
        unsafe {
            let entry = std::ptr::from_ref(entry) as usize;
            pg_sys::before_shmem_exit(Some(unregister), pg_sys::Datum::from(entry));
        }
        Some(Self::Board(entry))
    }

    /// When to look again because changes wait for somebody to commit a prepared transaction.
    fn prepared_due(self) -> Option<i64> {
        if matches!(self, Self::Turnstile) {
            return None; // It stays while somebody writes.
        }
        if WRITING.try_exclusive() {
            WRITING.release();
            return None;
        }
        Some(now() + i64::try_from(PREPARED.as_micros()).unwrap_or(i64::MAX))
    }

    /// Gives the post up, unless somebody has called meanwhile. `due_at` is when work is due again.
    fn leave(self, due_at: Option<i64>) -> bool {
        match self {
            Self::Board(entry) => {
                entry.set_due(due_at);
                entry.unregister_worker();
                if !entry.take_wanted() {
                    return true;
                }
                !entry.register_worker()
            }
            Self::Turnstile => {
                if due_at.is_some() || !WRITING.try_exclusive() {
                    return false;
                }
                RUNNING.release();
                WRITING.release();
                true
            }
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn unregister(_code: std::ffi::c_int, entry: pg_sys::Datum) {
    // SAFETY: the entry that take() registered, in shared memory.
    unsafe { (*(entry.value() as *const Entry)).unregister_worker() };
}

struct Worker {
    drain: Drain,
    post: Post,
    /// When the next job is due, as a `timestamptz`, as far as is known.
    next: Option<i64>,
}

impl Worker {
    fn run(mut self) {
        if let Err(failed) = self.drain.release_lost() {
            failed.warn();
        }
        // One that was called for nothing leaves at once.
        let mut worked_at: Option<Instant> = None;
        loop {
            if guc::worker::workers() == 0 {
                break;
            }
            if is_database_wanted() {
                leave_database(self.drain.host());
            }
            match self.turn() {
                Ok(true) => {
                    worked_at = Some(Instant::now());
                    wait(Duration::ZERO);
                }
                Ok(false) => {
                    let has_waited = worked_at.is_none_or(|at| at.elapsed() >= IDLE);
                    if has_waited && self.post.leave(self.next) {
                        break;
                    }
                    self.drain.host().show(None);
                    wait(self.nap(worked_at));
                }
                Err(failed) => {
                    failed.warn();
                    wait(PAUSE);
                }
            }
        }
    }

    /// One turn; whether there was something to do.
    fn turn(&mut self) -> Result<bool, Failed> {
        if let Post::Board(entry) = self.post {
            // Before looking: what is written from here on sets it again.
            entry.take_wanted();
        }
        match self.drain.turn()? {
            Turn::Worked => Ok(true),
            Turn::Idle { ready_at, .. } => {
                let times = [ready_at, self.post.prepared_due()];
                self.next = times.into_iter().flatten().min();
                Ok(false)
            }
        }
    }

    /// How long to wait for a call.
    fn nap(&self, worked_at: Option<Instant>) -> Duration {
        let waited = worked_at.map_or(IDLE, |at| at.elapsed());
        let mut nap = IDLE.saturating_sub(waited).clamp(POLL, LOOK);
        if matches!(self.post, Post::Turnstile) {
            nap = POLL;
        }
        match self.next {
            Some(at) => nap.min(until(at)),
            None => nap,
        }
    }
}

/// Time until a timestamp; a little when it is past.
pub fn until(at: i64) -> Duration {
    Duration::from_micros(u64::try_from(at - now()).unwrap_or(0)).max(Duration::from_millis(10))
}

/// The time, as a `timestamptz`.
pub fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
