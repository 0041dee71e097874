//! Text of files: what the program `rag-extract` says, and the text that its pages make.
//!
//! The program parses files of others, so nothing that it says is believed: frames are read within limits, in their order,
//! and whatever else comes is a crash.
mod failure;
mod frames;
mod text;

pub use failure::{Class, Failure, from_program};
pub use frames::{Limits, Reader};
pub use text::{BREAKS, ExtractedText, Part, Place, narrow, place, units};

use crate::{Error, Result};
use serde_json::{Map, Value};

/// Formats that can be named; `auto` finds the format by the file's content.
pub const FORMATS: [&str; 21] = [
    "auto", "pdf", "docx", "pptx", "xlsx", "xlsb", "xls", "odt", "ods", "odp", "epub", "html",
    "markdown", "plain", "csv", "eml", "mbox", "ipynb", "rtf", "srt", "vtt",
];

/// An error unless a file's format can be named so.
pub fn require_format(name: &str) -> Result<()> {
    if FORMATS.contains(&name) {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("unknown format \"{name}\""))
        .with_hint(format!("Use one of: {}.", FORMATS.join(", "))))
}

/// What was extracted of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extracted {
    /// The format that was found.
    pub format: String,
    /// Title, author, dates and whatever else the file says of itself.
    pub metadata: Map<String, Value>,
    /// Its pages in their order.
    pub pages: Vec<Page>,
    /// How many it has, where not all were wanted.
    pub total: Option<u32>,
}

/// A page, sheet, slide or part of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// 1 for the first.
    pub number: u32,
    /// Its text, shaped as Markdown.
    pub content: String,
    /// Its label, sheet, slide or part.
    pub metadata: Map<String, Value>,
}

impl Extracted {
    /// Pages of plain text, with a form feed between two of them, as programs that recognize characters print it.
    pub fn recognized(output: &str) -> Self {
        let text = output.replace("\r\n", "\n").replace('\0', "");
        let text = text.strip_suffix('\u{c}').unwrap_or(&text);
        let page = |(number, content): (u32, &str)| Page {
            number,
            content: content.trim_end().to_owned(),
            metadata: Map::from_iter([("ocr".to_owned(), Value::Bool(true))]),
        };
        let pages = (1..).zip(text.split('\u{c}')).map(page).collect();
        Self { format: "ocr".to_owned(), pages, ..Self::default() }
    }

    /// Whether there is any text.
    pub fn is_blank(&self) -> bool {
        self.pages.iter().all(|page| page.content.trim().is_empty())
    }

    /// What is known of the whole file, for its users.
    pub fn description(&self) -> Map<String, Value> {
        let mut all = self.metadata.clone();
        all.insert("format".to_owned(), Value::from(&*self.format));
        let pages = self.total.map_or(self.pages.len(), |total| total as usize);
        all.insert("pages".to_owned(), Value::from(pages));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::Extracted;

    #[test]
    fn form_feeds_divide_recognized_pages() {
        let found = Extracted::recognized("one\r\ntwo\n\u{c}\u{c}three\n\u{c}");
        let pages: Vec<_> = found.pages.iter().map(|page| (page.number, &*page.content)).collect();
        assert_eq!(pages, [(1, "one\ntwo"), (2, ""), (3, "three")]);
        assert!(!found.is_blank());
        assert!(Extracted::recognized(" \n\u{c}\u{c}").is_blank());
        assert_eq!(found.description()["pages"], 3);
    }
}
