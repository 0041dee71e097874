//! A background worker: works off one of a database's queues and leaves when there is nothing to do.
#![allow(unsafe_code)] // a process of the server's

use super::answers::AnswerWork;
use super::board::{Post, board};
use super::builder;
use super::call::{call, worker};
use super::drain::{Drain, Turn};
use super::duty::Duty;
use super::failed::Failed;
use super::host::Host;
use super::priority;
use super::turnstile::{self, Turnstile, is_database_wanted};
use crate::pg::rights::PARSING;
use crate::pg::{answer_request, exit, guc, model};
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::{FromDatum, pg_guard, pg_sys};
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// A worker without work leaves after this long.
const IDLE: Duration = Duration::from_secs(10);
/// Settings for the life of a background process, whatever the configuration, its database or its role say: these are
/// meant for sessions. What bounds each transaction is set where it begins.
const SETTLED: &[(&CStr, &CStr)] = &[
    // First: as another role it could set nothing.
    (c"role", c"none"),
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_isolation", c"read committed"),
    (c"statement_timeout", c"0"),
];
/// How often an idle one looks whether somebody wants its database for himself, who waits for five seconds.
const LOOK: Duration = Duration::from_secs(1);
/// How often to look for work where nobody can set this process's latch.
const POLL: Duration = Duration::from_millis(200);
/// How often to look at what is under way on other threads.
const GLANCE: Duration = Duration::from_millis(20);
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
        exit::end_process(1);
    }
    if BackgroundWorker::sighup_received() {
        // SAFETY: outside of a transaction, as PostgreSQL's own processes do it.
        unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        priority::follow();
    }
}

/// Connects a background process to a database as the bootstrap superuser. Its search path is the extension's own from
/// the first statement on: that of the database, or one of `"$user"` and `public`, may hold anybody's operators.
pub fn connect(database: pg_sys::Oid) {
    // SAFETY: a process that is connected to nothing yet.
    unsafe { pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0) };
    for (name, value) in SETTLED.iter().chain(&PARSING) {
        set(name, value);
    }
    // PostgreSQL 17 and newer.
    if has_setting(c"transaction_timeout") {
        set(c"transaction_timeout", c"0");
    }
}

/// Whether this server has a setting, of a number.
fn has_setting(name: &CStr) -> bool {
    // SAFETY: a static text. NULL stands for one that is not known.
    unsafe { !pg_sys::GetConfigOption(name.as_ptr(), true, false).is_null() }
}

/// Entry point of workers that index; the argument is the database, the extra text the transaction to wait for.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_pg_worker_main(argument: pg_sys::Datum) {
    serve(argument, Duty::Index, || {
        priority::give_way();
        model::set_threads(guc::worker::threads());
        Drain::new(Host::worker(), None)
    });
}

/// Entry point of workers that have answers written; the same arguments.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_pg_answer_worker_main(argument: pg_sys::Datum) {
    serve(argument, Duty::Answer, || AnswerWork::new(Host::worker()));
}

fn serve<W: Work>(argument: pg_sys::Datum, duty: Duty, begin: impl FnOnce() -> W) {
    attach();
    // SAFETY: whoever registered this worker passed an OID.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) }.unwrap_or_default();
    connect(database);
    let transaction: u32 = BackgroundWorker::get_extra().parse().unwrap_or_default();
    if !prepare(transaction, duty) {
        return;
    }
    if let Some(place) = Place::take(database, duty) {
        Worker { work: begin(), duty, place, next: None }.run();
    }
}

/// Ends this process, which indexes, so that its database can be dropped, renamed or copied.
pub fn leave_database(host: &Host) -> ! {
    stop_builders(host);
    leave(Duty::Index)
}

fn stop_builders(host: &Host) {
    let stopped = host.transaction(|| {
        builder::stop_all();
        Ok(())
    });
    stopped.unwrap_or_else(|failed| failed.warn());
}

/// Ends this process for who wants its database for himself. The worker that is called in its place begins when that is
/// over.
fn leave(duty: Duty) -> ! {
    // SAFETY: reads this process's variable.
    let database = unsafe { pg_sys::MyDatabaseId };
    match board() {
        Some(board) => {
            if let Some(entry) = board.entry(database) {
                entry.post(duty).want();
            }
        }
        None => {
            let _ = worker(database, duty).load_dynamic();
        }
    }
    exit::end_process(0)
}

/// Sets the session up and waits for the transaction that called. False where there is no extension.
fn prepare(transaction: u32, duty: Duty) -> bool {
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
        if board().is_none() {
            // Another that is about to leave, or not after all, has made up its mind then.
            turnstile::of(duty).writing.share();
        }
        Ok(())
    });
    waited.is_ok() && has_extension(&host) == Some(true)
}

/// Whether the extension is there, which somebody may drop at any time; `None` where that cannot be told.
fn has_extension(host: &Host) -> Option<bool> {
    let found = host.transaction(|| {
        // SAFETY: a catalog look-up in a transaction.
        Ok(unsafe { pg_sys::get_extension_oid(c"rag_pg".as_ptr(), true) } != pg_sys::InvalidOid)
    });
    found.ok()
}

/// Settles a setting for the life of this process, whatever the database's defaults are.
pub fn set(name: &CStr, value: &CStr) {
    let (context, source) = (pg_sys::GucContext::PGC_SUSET, pg_sys::GucSource::PGC_S_OVERRIDE);
    // SAFETY: static texts; a database's defaults do not bind a worker.
    unsafe { pg_sys::SetConfigOption(name.as_ptr(), value.as_ptr(), context, source) };
}

/// How this worker is found by those who write.
#[derive(Clone, Copy)]
enum Place {
    /// By its latch on the board.
    Board(&'static Post),
    /// By a lock.
    Turnstile(Turnstile),
}

impl Place {
    /// `None` where there are enough workers already.
    fn take(database: pg_sys::Oid, duty: Duty) -> Option<Self> {
        let Some(board) = board() else {
            let turnstile = turnstile::of(duty);
            return turnstile.running.try_exclusive().then_some(Self::Turnstile(turnstile));
        };
        let post = board.entry(database)?.post(duty);
        if !post.register_worker(duty.most_workers()) {
            return None;
        }
        // SAFETY: the post lies in shared memory, which outlives the process.
        unsafe {
            let post = std::ptr::from_ref(post) as usize;
            pg_sys::before_shmem_exit(Some(unregister), pg_sys::Datum::from(post));
        }
        Some(Self::Board(post))
    }

    /// Whether somebody called since this was last asked.
    fn is_called(self) -> bool {
        match self {
            Self::Board(post) => post.take_wanted(),
            Self::Turnstile(_) => false,
        }
    }

    /// When to look again because something waits for somebody to commit a prepared transaction.
    fn prepared_due(self, duty: Duty) -> Option<i64> {
        if matches!(self, Self::Turnstile(_)) {
            return None; // It stays while somebody writes.
        }
        let writing = turnstile::of(duty).writing;
        if writing.try_exclusive() {
            writing.release();
            return None;
        }
        Some(now() + micros(PREPARED))
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn unregister(code: std::ffi::c_int, post: pg_sys::Datum) {
    // SAFETY: the post that take() registered at, in shared memory.
    let post = unsafe { &*(post.value() as *const Post) };
    post.unregister_worker();
    if code != 0
        && let Some(board) = board()
    {
        // It was told to end, or could not go on: what it was at is still there.
        post.set_due(Some(now() + micros(PAUSE)));
        board.wake_launcher();
    }
}

/// What a worker works off.
pub trait Work {
    /// Where it runs.
    fn host(&self) -> &Host;
    /// Sets in order what processes left behind that are gone.
    fn begin(&mut self) -> Result<(), Failed>;
    /// Does a step. `is_called` says whether there may be something new.
    fn turn(&mut self, is_called: bool) -> Result<Turn, Failed>;
    /// Puts down what is under way, since the process ends.
    fn put_down(&mut self);
}

impl Work for Drain {
    fn host(&self) -> &Host {
        Drain::host(self)
    }

    fn begin(&mut self) -> Result<(), Failed> {
        self.release_lost()?;
        // The launcher looks into databases through this worker alone.
        let is_prepared = || turnstile::of(Duty::Answer).writing.is_held();
        if self.host().transaction(|| Ok(answer_request::is_open() || is_prepared()))? {
            call(Duty::Answer);
        }
        Ok(())
    }

    fn turn(&mut self, _is_called: bool) -> Result<Turn, Failed> {
        Drain::turn(self)
    }

    fn put_down(&mut self) {
        // Only for who wants the database: builders that go on do no harm otherwise.
        if is_database_wanted() {
            stop_builders(self.host());
        }
    }
}

struct Worker<W> {
    work: W,
    duty: Duty,
    place: Place,
    /// When the next job is due, as a `timestamptz`, as far as is known.
    next: Option<i64>,
}

impl<W: Work> Worker<W> {
    fn run(mut self) {
        if let Err(failed) = self.work.begin() {
            failed.warn();
        }
        // One that was called for nothing leaves at once.
        let mut worked_at: Option<Instant> = None;
        loop {
            if guc::worker::workers() == 0 {
                self.work.put_down();
                break;
            }
            if is_database_wanted() {
                self.work.put_down();
                leave(self.duty);
            }
            match self.turn() {
                Ok(Turn::Worked) => {
                    worked_at = Some(Instant::now());
                    wait(Duration::ZERO);
                }
                Ok(Turn::Underway) => {
                    worked_at = Some(Instant::now());
                    wait(GLANCE);
                }
                Ok(Turn::Idle { .. }) => {
                    let has_waited = worked_at.is_none_or(|at| at.elapsed() >= IDLE);
                    if has_waited && self.leaves() {
                        break;
                    }
                    self.work.host().show(None);
                    wait(self.nap(worked_at));
                }
                Err(_) if has_extension(self.work.host()) == Some(false) => break,
                Err(failed) => {
                    failed.warn();
                    wait(PAUSE);
                }
            }
        }
    }

    /// One turn.
    fn turn(&mut self) -> Result<Turn, Failed> {
        // Before looking: what is written from here on calls again.
        let is_called = self.place.is_called();
        let turn = self.work.turn(is_called)?;
        if let Turn::Idle { ready_at, .. } = turn {
            let times = [ready_at, self.place.prepared_due(self.duty)];
            self.next = times.into_iter().flatten().min();
        }
        Ok(turn)
    }

    /// Gives the place up, unless there is something to do after all.
    fn leaves(&mut self) -> bool {
        self.work.host().reached("leaving");
        match self.place {
            Place::Board(post) => {
                post.set_due(self.next);
                post.unregister_worker();
                !post.take_wanted() || !post.register_worker(self.duty.most_workers())
            }
            Place::Turnstile(Turnstile { running, writing }) => {
                if self.next.is_some() || !writing.try_exclusive() {
                    return false;
                }
                // Who has committed since the last look took this worker for one that stays.
                let is_idle = matches!(self.turn(), Ok(Turn::Idle { .. })) && self.next.is_none();
                if is_idle {
                    running.release();
                }
                writing.release();
                is_idle
            }
        }
    }

    /// How long to wait for a call.
    fn nap(&self, worked_at: Option<Instant>) -> Duration {
        let waited = worked_at.map_or(IDLE, |at| at.elapsed());
        let mut nap = IDLE.saturating_sub(waited).clamp(POLL, LOOK);
        if matches!(self.place, Place::Turnstile(_)) {
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

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// The time, as a `timestamptz`.
pub fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
