//! A caught error, classified by what it means for the queue.
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use rag::queue::Failure;
use rag::remote::{Blame, Fault};
use rag::{Error, extract};

/// A caught error of a step.
pub struct Failed {
    /// What it means for the job.
    pub class: Failure,
    /// Whether it is that of a call of a remote model.
    pub is_provider_failure: bool,
    /// In how many attempts in a row it shows that the document is at fault, if it may be.
    pub doubtful: Option<u32>,
    sqlstate: String,
    reason: String,
    cause: Cause,
}

enum Cause {
    Ours(Error),
    Caught(Box<CaughtError>),
}

impl Failed {
    /// Message and detail, for the catalog.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What any role may read: no detail, in which a provider may repeat a document, and only the SQLSTATE of an error that
    /// PostgreSQL or code of the owner raised.
    pub fn summary(&self) -> String {
        match &self.cause {
            Cause::Ours(error) => error.message().to_owned(),
            Cause::Caught(_) => format!("error {}", self.sqlstate),
        }
    }

    /// Whether it is a cancellation: by a user, a timeout or a shutdown.
    pub fn is_cancel(&self) -> bool {
        matches!(self.sqlstate.as_str(), "57014" | "57P01" | "57P02" | "57P03")
    }

    /// Whether it is a serialization failure or a deadlock: it is retried at once.
    pub fn is_conflict(&self) -> bool {
        self.sqlstate.starts_with("40")
    }

    /// Whether an object that a statement names is missing or altered.
    pub fn is_definition_failure(&self) -> bool {
        self.class == Failure::Configuration
            && ["42", "3F", "55"].iter().any(|class| self.sqlstate.starts_with(class))
    }

    /// Logs a WARNING.
    pub fn warn(&self) {
        pgrx::warning!("rag_pg worker: {}", self.reason);
    }

    /// Logs a WARNING about one collection.
    pub fn warn_about(&self, collection: &str) {
        pgrx::warning!("rag_pg worker: collection \"{collection}\": {}", self.reason);
    }

    /// Whether a lock was not available.
    pub fn is_lock_failure(&self) -> bool {
        matches!(self.sqlstate.as_str(), "55P03" | "40P01")
    }

    /// The failure of a call of a remote model.
    pub fn of_call(fault: Fault) -> Self {
        let class = match fault.blame {
            Blame::Text => Failure::Row,
            Blame::Doubtful { .. } => Failure::Transient,
            Blame::Model => Failure::Configuration,
            Blame::Outage => Failure::Outage,
            Blame::RateLimited => Failure::RateLimited,
        };
        let doubtful = match fault.blame {
            Blame::Doubtful { attempts } => Some(attempts),
            _ => None,
        };
        Self { class, is_provider_failure: true, doubtful, ..Self::from(fault.error) }
    }

    /// Why a file has no text. A crash may be an accident, such as that the system was short of memory, but not twice.
    pub fn of_file(failure: extract::Failure) -> Self {
        let is_crash = failure.class == extract::Class::Crashed;
        let class = if is_crash { Failure::Transient } else { Failure::Row };
        Self { class, doubtful: is_crash.then_some(2), ..Self::from(failure.error) }
    }

    /// The five characters of the error's SQLSTATE.
    pub fn sqlstate(&self) -> &str {
        &self.sqlstate
    }

    /// Raises the error as it was.
    pub fn rethrow(self) -> ! {
        match self.cause {
            Cause::Ours(error) => crate::sys::error::raise(error),
            Cause::Caught(caught) => caught.rethrow(),
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            class: Failure::of_sqlstate(error.sqlstate()),
            is_provider_failure: false,
            doubtful: None,
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
            class: class_of(&caught, &sqlstate),
            is_provider_failure: false,
            doubtful: None,
            sqlstate,
            reason: with_detail(report.message(), report.detail()),
            cause: Cause::Caught(Box::new(caught)),
        }
    }
}

/// What a caught error means for the job.
fn class_of(caught: &CaughtError, sqlstate: &str) -> Failure {
    match caught {
        // A Rust panic is blamed on the document; other documents may succeed.
        CaughtError::RustPanic { .. } => Failure::Row,
        // pgrx turns SQLSTATEs other than PostgreSQL's own into an internal error. One that RAISE in PL/pgSQL chose is the
        // document's.
        CaughtError::PostgresError(report)
            if sqlstate == "XX000" && report.function_name() == Some("exec_stmt_raise") =>
        {
            Failure::Row
        }
        _ => Failure::of_sqlstate(sqlstate),
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
