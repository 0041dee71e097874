//! An error that ended a step, caught and classified.
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use rag::Error;
use rag::queue::Failure;
use rag::remote::{Blame, Fault};

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

    /// What everyone may know of it: without the detail, in which a provider may repeat a document, and nothing
    /// but the SQLSTATE of an error that PostgreSQL or code of the owner's raised over one.
    pub fn summary(&self) -> String {
        match &self.cause {
            Cause::Ours(error) => error.message().to_owned(),
            Cause::Caught(_) => format!("error {}", self.sqlstate),
        }
    }

    /// Whether the session's user, a timeout or the server asked to stop.
    pub fn is_cancel(&self) -> bool {
        matches!(self.sqlstate.as_str(), "57014" | "57P01" | "57P02" | "57P03")
    }

    /// Whether another backend changed or locked the same rows: at once is soon enough to try again.
    pub fn is_clash(&self) -> bool {
        self.sqlstate.starts_with("40")
    }

    /// Whether something that a statement names is missing, or is not what it was.
    pub fn is_of_definition(&self) -> bool {
        self.class == Failure::Configuration
            && ["42", "3F", "55"].iter().any(|class| self.sqlstate.starts_with(class))
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

    /// What a failed call of a remote model means.
    pub fn of_call(fault: Fault) -> Self {
        let class = match fault.blame {
            Blame::Text => Failure::Row,
            Blame::Doubtful => Failure::Transient,
            Blame::Model => Failure::Configuration,
            Blame::Outage => Failure::Outage,
            Blame::RateLimited => Failure::RateLimited,
        };
        Self { class, is_of_provider: true, ..Self::from(fault.error) }
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
            class: class_of(&caught, &sqlstate),
            is_of_provider: false,
            sqlstate,
            reason: with_detail(report.message(), report.detail()),
            cause: Cause::Caught(Box::new(caught)),
        }
    }
}

/// What an error says of the document at hand.
fn class_of(caught: &CaughtError, sqlstate: &str) -> Failure {
    match caught {
        // Ours about the text at hand: another one may pass.
        CaughtError::RustPanic { .. } => Failure::Row,
        // pgrx knows no SQLSTATE but PostgreSQL's own and makes an internal error of any other. What PL/pgSQL raises
        // on somebody's behalf is none.
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
