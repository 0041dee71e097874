//! Our error as PostgreSQL reports it.
#![allow(unsafe_code)] // The process's environment.
use crate::Error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};

/// SQLSTATE as PostgreSQL packs it: six bits a character.
fn packed(sqlstate: &str) -> i32 {
    sqlstate
        .bytes()
        .enumerate()
        .fold(0, |code, (i, byte)| code | ((i32::from(byte) - i32::from(b'0')) & 0x3f) << (6 * i))
}

impl From<Error> for ErrorReport {
    fn from(error: Error) -> Self {
        let code = PgSqlErrorCode::from(packed(error.sqlstate()));
        let mut report = Self::new(code, error.message().to_owned(), function_name!());
        if let Some(detail) = error.detail() {
            report = report.set_detail(detail.to_owned());
        }
        if let Some(hint) = error.hint() {
            report = report.set_hint(hint.to_owned());
        }
        report
    }
}

/// pgrx takes a backtrace of every error that passes through Rust where `RUST_BACKTRACE` is set: a
/// cancelled statement then took 0.5 s more, to read symbols, and had 50 lines of DETAIL. Who wants them
/// can set `RUST_LIB_BACKTRACE`.
pub fn init() {
    if std::env::var_os("RUST_LIB_BACKTRACE").is_none() {
        // SAFETY: a process that loads this library has no other thread yet.
        unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
    }
}

/// Raises `error` as an ERROR; for places that cannot return one.
pub fn raise(error: Error) -> ! {
    ErrorReport::from(error).report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}
