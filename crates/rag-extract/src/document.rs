//! What a reader makes of a file.
use serde_json::{Map, Value};

use crate::detect::Format;
use crate::failure::Failure;

/// What the caller wants and allows.
#[derive(Clone, Debug)]
pub struct Options {
    /// The format; detected where it is `None`.
    pub format: Option<Format>,
    /// File name: tells formats apart that the content leaves open.
    pub name: Option<String>,
    /// MIME type, perhaps with a charset: the same.
    pub mime: Option<String>,
    /// Password of an encrypted file.
    pub password: Option<String>,
    /// More pages are refused.
    pub max_pages: usize,
    /// More bytes of content are refused.
    pub max_output: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: None,
            name: None,
            mime: None,
            password: None,
            max_pages: 100_000,
            max_output: 256 << 20,
        }
    }
}

/// The pages of a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// What the file is.
    pub format: Format,
    /// Whether the format has pages: a text file has none and is given as one.
    pub paged: bool,
    /// Title, author, dates and so on.
    pub metadata: Map<String, Value>,
    /// In order, also empty ones.
    pub pages: Vec<Page>,
    bytes: usize,
    max_pages: usize,
    max_output: usize,
}

/// A page, sheet, slide, part or message.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Markdown-shaped text.
    pub content: String,
    /// Label, sheet, slide, part and so on.
    pub metadata: Map<String, Value>,
}

impl Document {
    /// A document without pages yet.
    pub fn new(format: Format, paged: bool, options: &Options) -> Self {
        Self {
            format,
            paged,
            metadata: Map::new(),
            pages: Vec::new(),
            bytes: 0,
            max_pages: options.max_pages,
            max_output: options.max_output,
        }
    }

    /// Sets an entry of the metadata unless its value is blank.
    pub fn describe(&mut self, key: &str, value: &str) {
        describe(&mut self.metadata, key, value);
    }

    /// Adds a page, or fails where it is one too many.
    pub fn push(&mut self, content: &str, metadata: Map<String, Value>) -> Result<(), Failure> {
        if self.pages.len() >= self.max_pages {
            return Err(Failure::too_large(format!("file has more than {} pages", self.max_pages)));
        }
        let content = clean(content);
        self.bytes += content.len();
        if self.bytes > self.max_output {
            return Err(too_much(self.max_output));
        }
        self.pages.push(Page { content, metadata });
        Ok(())
    }

    /// Characters that are not space.
    pub fn characters(&self) -> usize {
        let dark = |page: &Page| page.content.chars().filter(|c| !c.is_whitespace()).count();
        self.pages.iter().map(dark).sum()
    }
}

/// The failure of a file with more text than `limit` bytes.
pub fn too_much(limit: usize) -> Failure {
    Failure::too_large(format!("text of the file is longer than {limit} bytes"))
}

/// Sets an entry unless its value is blank.
pub fn describe(metadata: &mut Map<String, Value>, key: &str, value: &str) {
    let value = clean(value);
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if !value.is_empty() {
        metadata.insert(key.to_owned(), Value::String(value));
    }
}

/// Text as PostgreSQL can store it: line ends are `\n`, and there is no NUL or other control
/// character but tabs. Blanks at line ends and blank lines around the text go too.
fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' => {
                if rest.peek() != Some(&'\n') {
                    end_line(&mut clean);
                }
            }
            '\n' => end_line(&mut clean),
            '\t' => clean.push('\t'),
            '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    clean.truncate(clean.trim_end().len());
    let start = clean.len() - clean.trim_start_matches('\n').len();
    clean.drain(..start);
    clean
}

fn end_line(text: &mut String) {
    let kept = text.trim_end_matches([' ', '\t']).len();
    text.truncate(kept);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn content_has_no_nul_and_line_ends_are_one_character() {
        assert_eq!(clean("\r\n a \r\nb\rc\0\u{1}d\te\n\n"), " a\nb\ncd\te");
    }
}
