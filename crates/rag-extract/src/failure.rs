//! Why a file has no pages.
use std::fmt::{self, Display};

/// What the caller does about a failure depends on its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No reader knows this format.
    Unsupported,
    /// The file is not what its format says.
    Damaged,
    /// A password is missing or wrong.
    Encrypted,
    /// There are pages, but no text on them: scanned pages need OCR.
    NoText,
    /// A limit of output, pages, memory or nesting was reached.
    TooLarge,
    /// The time limit was reached.
    Timeout,
}

impl Class {
    /// The word in the frame.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Damaged => "damaged",
            Self::Encrypted => "encrypted",
            Self::NoText => "no_text",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
        }
    }
}

/// A class with a message in the style of PostgreSQL's primary messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the caller does about it.
    pub class: Class,
    /// Lower case, no full stop.
    pub message: String,
    /// What the reader stumbled over.
    pub detail: Option<String>,
}

impl Failure {
    fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), detail: None }
    }

    /// A format that is not known, or known and not read.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Class::Unsupported, message)
    }

    /// A file that is broken; `detail` is what the reader stumbled over.
    pub fn damaged(detail: impl Display) -> Self {
        Self::new(Class::Damaged, "file is damaged").with_detail(detail.to_string())
    }

    /// A file whose password is missing or wrong.
    pub fn encrypted() -> Self {
        Self::new(Class::Encrypted, "file is encrypted with a password")
    }

    /// A file without text.
    pub fn no_text(message: impl Into<String>) -> Self {
        Self::new(Class::NoText, message)
    }

    /// A file beyond a limit.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(Class::TooLarge, message)
    }

    /// The same failure with a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class.word(), self.message)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
