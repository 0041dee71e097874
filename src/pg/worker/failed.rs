//! An error that ended a step, caught and classified.
use crate::Error;
use crate::queue::Failure;
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};

/// What went wrong in a step and what it means for the job.
pub struct Failed {
    /// What it means for the job.
    pub class: Failure,
    /// Whether a call of a remote model failed.
    pub is_of_provider: bool,
    sqlstate: String,
    reason: String,
    cause: Cause,
}

enum Cause {
    Ours(Error),
    Caught(Box<CaughtError>),
}

impl Failed {
    /// Message and what else is known, for the catalog.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether the session's user, a timeout or the server asked to stop.
    pub fn is_cancel(&self) -> bool {
        matches!(self.sqlstate.as_str(), "57014" | "57P01" | "57P02" | "57P03")
    }

    /// Whether another backend changed or locked the same rows: at once is soon enough to try again.
    pub fn is_clash(&self) -> bool {
        self.sqlstate.starts_with("40")
    }

    /// Says in the server's log what a worker failed with.
    pub fn warn(&self) {
        pgrx::warning!("rag_pg worker: {}", self.reason);
    }

    /// The same, of one collection.
    pub fn warn_about(&self, collection: &str) {
        pgrx::warning!("rag_pg worker: collection \"{collection}\": {}", self.reason);
    }

    /// Whether a lock was not to be had.
    pub fn is_lock(&self) -> bool {
        matches!(self.sqlstate.as_str(), "55P03" | "40P01")
    }

    /// The same where a remote model was called: its server's failures are no document's.
    pub fn of_provider(mut self) -> Self {
        if matches!(self.cause, Cause::Ours(_)) {
            self.class = Failure::of_call(&self.sqlstate);
            self.is_of_provider = true;
        }
        self
    }

    /// Whether the other side answered with something that is not usable.
    pub fn is_malformed(&self) -> bool {
        self.sqlstate == "08P01"
    }

    /// The five characters of the error's SQLSTATE.
    pub fn sqlstate(&self) -> &str {
        &self.sqlstate
    }

    /// Raises the error as it was.
    pub fn rethrow(self) -> ! {
        match self.cause {
            Cause::Ours(error) => crate::pg::error::raise(error),
            Cause::Caught(caught) => caught.rethrow(),
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            class: Failure::of_sqlstate(error.sqlstate()),
            is_of_provider: false,
            sqlstate: error.sqlstate().to_owned(),
            reason: with_detail(error.message(), error.detail()),
            cause: Cause::Ours(error),
        }
    }
}

impl From<CaughtError> for Failed {
    fn from(caught: CaughtError) -> Self {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = &caught;
        let sqlstate = unpacked(report);
        Self {
            class: Failure::of_sqlstate(&sqlstate),
            is_of_provider: false,
            sqlstate,
            reason: with_detail(report.message(), report.detail()),
            cause: Cause::Caught(Box::new(caught)),
        }
    }
}

fn with_detail(message: &str, detail: Option<&str>) -> String {
    detail.map_or_else(|| message.to_owned(), |detail| format!("{message}: {detail}"))
}

/// The five characters that PostgreSQL packs into an integer, six bits each.
fn unpacked(report: &ErrorReportWithLevel) -> String {
    let code = report.sql_error_code() as i32;
    (0..5).map(|i| char::from((code >> (6 * i) & 0x3f) as u8 + b'0')).collect()
}
