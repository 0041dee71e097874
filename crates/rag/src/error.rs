//! The one error type: what went wrong, the SQLSTATE a client sees, and what to do about it.
use std::fmt;

/// A failure with a message in PostgreSQL's style and, where one can act, a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: Kind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An argument is outside what the function takes.
    InvalidArgument,
    /// A name stands for nothing.
    Undefined,
    /// A name is taken.
    Duplicate,
    /// There is no such schema.
    UndefinedSchema,
    /// A table has no such column.
    UndefinedColumn,
    /// A table lacks what its use needs, a primary key for example.
    InvalidTable,
    /// The relation is not of a kind that can be used so.
    WrongObject,
    /// An identifier is longer than PostgreSQL keeps.
    NameTooLong,
    /// A column or value has a type that does not fit.
    WrongType,
    /// The object exists but is not in a state to do this.
    NotReady,
    /// Files of a model or the runtime are missing, damaged or of another build.
    Configuration,
    /// The model cannot be run by this package.
    Unsupported,
    /// The input is larger than a limit.
    TooLarge,
    /// The caller may not do this.
    Forbidden,
    /// Reading or writing a file failed.
    Io,
    /// A model failed while it ran.
    Model,
    /// The network or a remote side failed.
    Remote,
    /// A remote side answered with something else than it was asked for.
    Malformed,
    /// What was stored is damaged.
    Corrupted,
    /// A server does not accept the credential.
    Unauthorized,
    /// A remote side asked to slow down.
    RateLimited,
    /// There is as much of it as a setting allows.
    LimitExceeded,
    /// Called where it cannot commit.
    InvalidTermination,
    /// Another transaction changed the same thing meanwhile.
    Conflict,
    /// Another session holds a lock for too long.
    Busy,
    /// The work was cancelled.
    Cancelled,
    /// There is no memory for it.
    OutOfMemory,
    /// A program that was run for it crashed.
    Crashed,
}

impl Error {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), detail: None, hint: None }))
    }

    /// An argument is outside what the function takes (22023).
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidArgument, message)
    }
    /// A model, collection or column does not exist (42704).
    pub fn undefined(message: impl Into<String>) -> Self {
        Self::new(Kind::Undefined, message)
    }
    /// The name is taken (42710).
    pub fn duplicate(message: impl Into<String>) -> Self {
        Self::new(Kind::Duplicate, message)
    }
    /// There is no such schema (3F000).
    pub fn undefined_schema(message: impl Into<String>) -> Self {
        Self::new(Kind::UndefinedSchema, message)
    }
    /// A table has no such column (42703).
    pub fn undefined_column(message: impl Into<String>) -> Self {
        Self::new(Kind::UndefinedColumn, message)
    }
    /// A table lacks what its use needs, a primary key for example (42P16).
    pub fn invalid_table(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidTable, message)
    }
    /// The relation is not of a kind that can be used so (42809).
    pub fn wrong_object(message: impl Into<String>) -> Self {
        Self::new(Kind::WrongObject, message)
    }
    /// An identifier is longer than PostgreSQL keeps (42622).
    pub fn name_too_long(message: impl Into<String>) -> Self {
        Self::new(Kind::NameTooLong, message)
    }
    /// A column or value has a type that does not fit (42804).
    pub fn wrong_type(message: impl Into<String>) -> Self {
        Self::new(Kind::WrongType, message)
    }
    /// The object exists but is not in a state to do this (55000).
    pub fn not_ready(message: impl Into<String>) -> Self {
        Self::new(Kind::NotReady, message)
    }
    /// Files of a model or the runtime are missing, damaged or of another build (F0000).
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Kind::Configuration, message)
    }
    /// This package cannot run that (0A000).
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }
    /// The input is larger than a limit (54000).
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, message)
    }
    /// The caller may not do this (42501).
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, message)
    }
    /// Reading or writing a file failed (58030).
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(Kind::Io, message)
    }
    /// A model failed while it ran (38000).
    pub fn model(message: impl Into<String>) -> Self {
        Self::new(Kind::Model, message)
    }
    /// The network or a remote side failed (08000).
    pub fn remote(message: impl Into<String>) -> Self {
        Self::new(Kind::Remote, message)
    }
    /// A remote side answered with something else than it was asked for (08P01).
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, message)
    }
    /// What was stored is damaged (XX001).
    pub fn corrupted(message: impl Into<String>) -> Self {
        Self::new(Kind::Corrupted, message)
    }
    /// A server does not accept the credential (28000).
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(Kind::Unauthorized, message)
    }
    /// A remote side asked to slow down (53400; a code that PostgreSQL does not know would reach clients as an internal error).
    pub fn rate_limited(message: impl Into<String>) -> Self {
        Self::new(Kind::RateLimited, message)
    }
    /// There is as much of it as a setting allows (53400).
    pub fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::new(Kind::LimitExceeded, message)
    }
    /// Called where it cannot commit (2D000).
    pub fn invalid_termination(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidTermination, message)
    }
    /// Another transaction changed the same thing meanwhile; trying again helps (40001).
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }
    /// Another session holds a lock for too long (55P03).
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(Kind::Busy, message)
    }
    /// There is no memory for it (53200).
    pub fn out_of_memory(message: impl Into<String>) -> Self {
        Self::new(Kind::OutOfMemory, message)
    }
    /// A program that was run for it crashed (58000).
    pub fn crashed(message: impl Into<String>) -> Self {
        Self::new(Kind::Crashed, message)
    }
    /// The work was cancelled (57014).
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "canceling work due to user request")
    }

    /// Adds what else is known.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }
    /// Adds what the user can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The message alone.
    pub fn message(&self) -> &str {
        &self.0.message
    }
    /// The DETAIL.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }
    /// The HINT: an action for the user.
    pub fn hint(&self) -> Option<&str> {
        let usual = match self.0.kind {
            Kind::Model => {
                Some("Try again; \"rag-model verify\" tells whether the model's files are intact.")
            }
            _ => None,
        };
        self.0.hint.as_deref().or(usual)
    }
    /// Whether the work was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == Kind::Cancelled
    }

    /// Whether what was named does not exist.
    pub fn is_undefined(&self) -> bool {
        self.0.kind == Kind::Undefined
    }

    /// The five-character SQLSTATE a client sees.
    pub fn sqlstate(&self) -> &'static str {
        match self.0.kind {
            Kind::InvalidArgument => "22023",
            Kind::Undefined => "42704",
            Kind::Duplicate => "42710",
            Kind::UndefinedSchema => "3F000",
            Kind::UndefinedColumn => "42703",
            Kind::InvalidTable => "42P16",
            Kind::WrongObject => "42809",
            Kind::NameTooLong => "42622",
            Kind::WrongType => "42804",
            Kind::NotReady => "55000",
            Kind::Configuration => "F0000",
            Kind::Unsupported => "0A000",
            Kind::TooLarge => "54000",
            Kind::Forbidden => "42501",
            Kind::Io => "58030",
            Kind::Model => "38000",
            Kind::Remote => "08000",
            Kind::Malformed => "08P01",
            Kind::Corrupted => "XX001",
            Kind::Unauthorized => "28000",
            Kind::RateLimited | Kind::LimitExceeded => "53400",
            Kind::InvalidTermination => "2D000",
            Kind::Conflict => "40001",
            Kind::Busy => "55P03",
            Kind::Cancelled => "57014",
            Kind::OutOfMemory => "53200",
            Kind::Crashed => "58000",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(detail) = &self.0.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
