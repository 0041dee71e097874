//! How long one statement in tables of a collection may take in a worker.
//!
//! What the owner of a source wrote runs in it: casts, functions of column defaults, a foreign table behind a partition. One owner's
//! slow function must not keep the collections of the others waiting.
#![allow(unsafe_code)] // timeouts have no safe interface

use crate::Error;
use crate::pg::error::raise;
use crate::pg::{guc, spi};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::spi::SpiHeapTupleData;
use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};
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

/// Whether a failure is that of a statement which took longer.
pub fn is_exceeded(sqlstate: &str) -> bool {
    sqlstate == "53400"
}

/// A session has its own `statement_timeout`; in a background worker nothing arms that.
fn limited<R>(statement: impl FnOnce() -> R) -> R {
    // SAFETY: reads this process's variable.
    let is_worker = unsafe { pg_sys::MyBackendType } == pg_sys::BackendType::B_BG_WORKER;
    let Some(limit) = guc::worker::statement_timeout().filter(|_| is_worker) else {
        return statement();
    };
    let started = Instant::now();
    let armed = Armed::after(limit);
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
    drop(armed);
    result
}

/// The statement timeout, armed. An ERROR disarms it with its transaction.
struct Armed {
    was_armed: bool,
}

impl Armed {
    fn after(limit: Duration) -> Self {
        let milliseconds = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: in a transaction of a worker. Arming it anew replaces what was armed.
        unsafe {
            let was_armed = pg_guard_ffi_boundary(|| get_timeout_active(STATEMENT_TIMEOUT));
            let sooner = was_armed && pg_sys::StatementTimeout < milliseconds;
            let milliseconds = if sooner { pg_sys::StatementTimeout } else { milliseconds };
            pg_guard_ffi_boundary(|| enable_timeout_after(STATEMENT_TIMEOUT, milliseconds));
            Self { was_armed }
        }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        // After an ERROR the abort of the transaction disarms it.
        if std::thread::panicking() {
            return;
        }
        // SAFETY: as above.
        unsafe {
            pg_guard_ffi_boundary(|| disable_timeout(STATEMENT_TIMEOUT, false));
            let before = pg_sys::StatementTimeout;
            if self.was_armed && before > 0 {
                pg_guard_ffi_boundary(|| enable_timeout_after(STATEMENT_TIMEOUT, before));
            }
        }
    }
}

/// `STATEMENT_TIMEOUT` of `utils/timeout.h`, the same in every supported version.
const STATEMENT_TIMEOUT: std::ffi::c_int = 3;

unsafe extern "C-unwind" {
    // pgrx binds no timeouts.
    fn enable_timeout_after(id: std::ffi::c_int, delay_ms: std::ffi::c_int);
    fn disable_timeout(id: std::ffi::c_int, keep_indicator: bool);
    fn get_timeout_active(id: std::ffi::c_int) -> bool;
}
