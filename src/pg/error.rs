//! Our error as PostgreSQL reports it.
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

/// Raises `error` as an ERROR; for places that cannot return one.
pub fn raise(error: Error) -> ! {
    ErrorReport::from(error).report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}
