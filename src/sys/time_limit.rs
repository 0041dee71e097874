//! The time limit of a worker's statement over tables of a collection.
//!
//! Such a statement runs code of the source's owner: casts, functions of column defaults, a foreign table as a partition. One owner's
//! slow function must not delay the collections of others.
#![allow(unsafe_code)] // timeouts have no safe interface

use crate::sys::error::raise;
use crate::sys::{ffi, guc, process, spi};
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiHeapTupleData;
use pgrx::{PgSqlErrorCode, PgTryBuilder};
use rag::Error;
use std::cell::OnceCell;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

/// As [`spi::query`], within the limit.
pub fn query<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    limited(|| spi::query(sql, args, map))
}

/// As [`spi::execute`], within the limit.
pub fn execute(sql: &str, args: &[DatumWithOid<'_>]) -> usize {
    limited(|| spi::execute(sql, args))
}

/// As `statement`, within the limit.
pub fn within<R>(statement: impl FnOnce() -> R) -> R {
    limited(statement)
}

/// Whether a failure is that of a statement which took longer.
pub fn is_exceeded(sqlstate: &str) -> bool {
    sqlstate == "53400"
}

/// A session has its own `statement_timeout`; in a background worker nothing arms that.
fn limited<R>(statement: impl FnOnce() -> R) -> R {
    let is_worker = process::is_background_worker();
    let Some(limit) = guc::worker::statement_timeout().filter(|_| is_worker) else {
        return statement();
    };
    let started = Instant::now();
    let armed = Armed::after(limit);
    let deadline = Deadline::after(limit + CANCEL_GRACE);
    let statement = AssertUnwindSafe(statement);
    let result = PgTryBuilder::new(move || {
        let statement = statement;
        (statement.0)()
    })
    .catch_when(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, |canceled| {
        if started.elapsed() < limit {
            canceled.rethrow();
        }
        // The transaction ends with this error instead of that one.
        raise(Error::limit_exceeded(format!(
            "a statement in tables of the collection took longer than rag_pg.worker_statement_timeout, {} ms",
            limit.as_millis()
        )))
    })
    .execute();
    drop(deadline);
    drop(armed);
    result
}

/// How long a statement may run on after its timeout.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// Ends this process if the statement goes on in spite of its timeout: that is an error, which a function of the owner's may
/// catch. What ends a process cannot be caught. The jobs count as lost, and after five losses they are given up.
struct Deadline;

impl Deadline {
    fn after(delay: Duration) -> Self {
        set_timer(delay);
        Self
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        set_timer(Duration::ZERO);
    }
}

/// Has SIGTERM sent to this process after a delay; zero: never.
fn set_timer(delay: Duration) {
    thread_local! {
        static TIMER: OnceCell<libc::timer_t> = const { OnceCell::new() };
    }
    // SAFETY: the timer is created once and kept; what is passed outlives the calls. Without a timer, for lack of
    // memory, the statement's own timeout is what there is.
    unsafe {
        let create = || {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_SIGNAL;
            event.sigev_signo = libc::SIGTERM;
            let mut timer: libc::timer_t = std::ptr::null_mut();
            libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer);
            timer
        };
        let timer = TIMER.with(|kept| *kept.get_or_init(create));
        let mut when: libc::itimerspec = std::mem::zeroed();
        when.it_value.tv_sec = delay.as_secs() as libc::time_t;
        when.it_value.tv_nsec = libc::c_long::from(delay.subsec_nanos().cast_signed());
        libc::timer_settime(timer, 0, &raw const when, std::ptr::null_mut());
    }
}

/// The statement timeout, armed. Workers have none of their own.
struct Armed;

impl Armed {
    fn after(limit: Duration) -> Self {
        ffi::enable_statement_timeout(i32::try_from(limit.as_millis()).unwrap_or(i32::MAX));
        Self
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        // After an ERROR the transaction's end disarms it.
        if !std::thread::panicking() {
            ffi::disable_statement_timeout();
        }
    }
}
