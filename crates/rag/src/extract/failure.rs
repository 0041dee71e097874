//! Why a file has no text.
use crate::Error;
use std::fmt::Write as _;

/// Most characters of what the program says that are passed on.
const MOST: usize = 400;

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The format is not known, or not handled.
    Unsupported,
    /// It is not what its format says.
    Damaged,
    /// It is encrypted, and the password is missing or wrong.
    Encrypted,
    /// It shows pictures of text only.
    NoText,
    /// It, or what comes of it, is over a limit.
    TooLarge,
    /// It took too long.
    Timeout,
    /// The program ended without saying how.
    Crashed,
}

/// A file that has no text for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its class.
    pub class: Class,
    /// The same for users.
    pub error: Error,
}

impl Class {
    /// The class by the name that the program gives it.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "unsupported" => Self::Unsupported,
            "damaged" => Self::Damaged,
            "encrypted" => Self::Encrypted,
            "no_text" => Self::NoText,
            "too_large" => Self::TooLarge,
            "timeout" => Self::Timeout,
            _ => return None,
        })
    }

    /// A failure of this class, with other words than the usual ones if there are any.
    pub fn failure(self, message: &str) -> Failure {
        let message = if message.is_empty() { self.message() } else { message };
        let error = match self {
            Self::Unsupported => Error::unsupported(message),
            Self::Damaged | Self::Encrypted | Self::NoText => Error::invalid_argument(message),
            Self::TooLarge | Self::Timeout => Error::too_large(message),
            Self::Crashed => Error::crashed(message),
        };
        Failure { class: self, error: error.with_hint(self.hint()) }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Unsupported => "the format of the file is not supported",
            Self::Damaged => "the file is damaged",
            Self::Encrypted => "the file is encrypted",
            Self::NoText => "the file has no text; needs OCR",
            Self::TooLarge => "the text of the file is too large",
            Self::Timeout => "extracting the text of the file took too long",
            Self::Crashed => "the program that extracts text crashed",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Unsupported => {
                "Name its format, if it was not recognized, or convert the file to one that is supported, such as PDF."
            }
            Self::Damaged => {
                "Open the file with a program of its format and save it anew, or name another format."
            }
            Self::Encrypted => {
                "Give rag_extract() the password, or store the file without encryption."
            }
            Self::NoText => {
                "Set rag_pg.ocr_program and ask for ocr => true, or store the file with a text layer."
            }
            Self::TooLarge => {
                "Divide the file, or ask an administrator to raise rag_pg.max_document_size or rag_pg.extract_memory."
            }
            Self::Timeout => {
                "Divide the file, or ask an administrator to raise rag_pg.extract_timeout."
            }
            Self::Crashed => {
                "Nothing else is concerned. Convert the file to another format, and report it."
            }
        }
    }
}

/// The failure that the program's last frame tells. A class that it does not have is a crash.
pub fn from_program(class: &str, message: &str, detail: Option<&str>) -> Failure {
    let Some(class) = Class::named(class) else {
        let failure = Class::Crashed.failure("");
        return failure.with_detail(&format!("It said: {class}: {message}"));
    };
    // One class has the same words always: dead jobs are told apart by them.
    let message = if class == Class::NoText { String::new() } else { one_line(message) };
    let failure = class.failure(&message);
    match detail.map(one_line).filter(|detail| !detail.is_empty()) {
        Some(detail) => failure.with_detail(&detail),
        None => failure,
    }
}

impl Failure {
    /// Adds what else is known, as one line.
    #[must_use]
    pub fn with_detail(self, detail: &str) -> Self {
        Self { error: self.error.with_detail(one_line(detail)), ..self }
    }
}

/// The start of a text in one line without control characters.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    for word in words.filter(|word| !word.is_empty()) {
        let separator = if line.is_empty() { "" } else { " " };
        let _ = write!(line, "{separator}{word}");
        if line.len() > MOST {
            line.truncate(line.floor_char_boundary(MOST));
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{Class, from_program, one_line};

    #[test]
    fn every_class_has_a_sqlstate_and_a_hint() {
        for (name, sqlstate) in [
            ("unsupported", "0A000"),
            ("damaged", "22023"),
            ("encrypted", "22023"),
            ("no_text", "22023"),
            ("too_large", "54000"),
            ("timeout", "54000"),
            ("crashed", "58000"),
            ("something else", "58000"),
        ] {
            let failure = from_program(name, "the words of the program", Some("a\ndetail"));
            assert_eq!(failure.error.sqlstate(), sqlstate, "{name}");
            assert!(failure.error.hint().is_some_and(|hint| hint.ends_with('.')), "{name}");
            assert!(!failure.error.detail().unwrap().contains('\n'), "{name}");
        }
        let scanned = from_program("no_text", "nothing", None);
        assert_eq!(scanned.error.message(), "the file has no text; needs OCR");
        assert_eq!(scanned.class, Class::NoText);
    }

    #[test]
    fn what_a_program_says_is_one_short_line() {
        assert_eq!(one_line(" a\u{0}\n\tb\u{7f} "), "a b");
        assert!(one_line(&"é".repeat(10_000)).len() <= 404);
    }
}
