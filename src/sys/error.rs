//! Our error as PostgreSQL reports it.
#![allow(unsafe_code)] // The process's environment.
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};
use rag::Error;
use std::cell::Cell;
use std::fmt::{self, Display, Formatter};

/// SQLSTATE as PostgreSQL packs it: six bits a character.
fn packed(sqlstate: &str) -> i32 {
    sqlstate
        .bytes()
        .enumerate()
        .fold(0, |code, (i, byte)| code | ((i32::from(byte) - i32::from(b'0')) & 0x3f) << (6 * i))
}

/// What the SQL functions return as an error.
///
/// pgrx raises an error by its `Display`, with a SQLSTATE of pgrx's choice, unless it is an `ErrorReport`, and only
/// pgrx can convert a type of another crate into that. So displaying this one raises it, with SQLSTATE, DETAIL and
/// HINT.
pub struct SqlError(Cell<Option<ErrorReport>>);

impl SqlError {
    fn raise(&self) -> ! {
        if let Some(report) = self.0.take() {
            report.report(PgLogLevel::ERROR);
        }
        unreachable!("an ERROR does not return")
    }
}

impl Display for SqlError {
    fn fmt(&self, _: &mut Formatter<'_>) -> fmt::Result {
        self.raise()
    }
}

impl From<Error> for SqlError {
    fn from(error: Error) -> Self {
        let code = PgSqlErrorCode::from(packed(error.sqlstate()));
        let mut report = ErrorReport::new(code, error.message().to_owned(), function_name!());
        if let Some(detail) = error.detail() {
            report = report.set_detail(detail.to_owned());
        }
        if let Some(hint) = error.hint() {
            report = report.set_hint(hint.to_owned());
        }
        Self::from(report)
    }
}

impl From<ErrorReport> for SqlError {
    fn from(report: ErrorReport) -> Self {
        Self(Cell::new(Some(report)))
    }
}

/// pgrx takes a backtrace of every error that passes through Rust where `RUST_BACKTRACE` is set: a
/// cancelled statement then took 0.5 s more, to read symbols, and had 50 lines of DETAIL. Set `RUST_LIB_BACKTRACE` to
/// have them.
pub fn init() {
    if std::env::var_os("RUST_LIB_BACKTRACE").is_none() {
        // SAFETY: a process that loads this library has no other thread yet.
        unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
    }
}

/// Raises `error` as an ERROR; for callers that cannot return one.
pub fn raise(error: impl Into<SqlError>) -> ! {
    error.into().raise()
}
