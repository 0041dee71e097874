//! A background worker: works off one of a database's queues and leaves when there is nothing to do.
#![allow(unsafe_code)] // a process of the server's

use crate::models::local as model;
use crate::sys::background::{attach, connect, lower_priority, micros, until, wait};
use crate::sys::failed::Failed;
use crate::sys::guc;
use crate::sys::process::now;
use crate::sys::transaction::Host;
use crate::sys::workers::board::{Post, board};
use crate::sys::workers::duty::Duty;
use crate::sys::workers::leave::leave;
use crate::sys::workers::turnstile;
use crate::sys::workers::turnstile::{Turnstile, is_database_wanted};
use crate::worker::answers::AnswerWork;
use crate::worker::drain::Drain;
use crate::worker::work::{Turn, Work};
use pgrx::bgworkers::BackgroundWorker;
use pgrx::{FromDatum, pg_guard, pg_sys};
use std::time::{Duration, Instant};

/// A worker without work leaves after this long.
const IDLE: Duration = Duration::from_secs(10);
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

/// Entry point of workers that index; the argument is the database, the extra text the transaction to wait for.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_pg_worker_main(argument: pg_sys::Datum) {
    serve(argument, Duty::Index, || {
        lower_priority();
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
