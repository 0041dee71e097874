//! Plain text and Markdown: the text as it is. A form feed ends a page.
use serde_json::Map;

use super::{decoded, single};
use crate::charset;
use crate::detect::Format;
use crate::document::{Document, Options};
use crate::failure::Failure;

pub fn read(bytes: &[u8], format: Format, options: &Options) -> Result<Document, Failure> {
    let (text, mut document) = decoded(bytes, format, options);
    if format == Format::Markdown {
        front_matter(&text, &mut document);
        return single(document, &text);
    }
    if charset::is_binary(&text) {
        return Err(Failure::unsupported("binary files of this kind are not supported"));
    }
    let text = text.trim_end_matches(['\u{c}', '\n', '\r', ' ']);
    document.paged = text.contains('\u{c}');
    for page in text.split('\u{c}') {
        document.push(page, Map::new())?;
    }
    Ok(document)
}

/// Title, author and date between two lines of dashes at the beginning.
fn front_matter(text: &str, document: &mut Document) {
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return;
    }
    for line in lines.take(100).take_while(|line| line.trim_end() != "---") {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim().trim_matches(['"', '\'']);
        match key.trim() {
            "title" => document.describe("title", value),
            "author" => document.describe("author", value),
            "date" => document.describe("created", value),
            "lang" | "language" => document.describe("language", value),
            _ => {}
        }
    }
}
