//! Text to chunks: structure before size.
//!
//! A parser per format finds blocks (paragraphs, code, tables, headings); blocks under one heading
//! path form a section; `pack` fills chunks with whole blocks of one section, and cuts only blocks
//! that are larger than a chunk: at sentences or lines, else at words, else between graphemes.
//! Every count is the model's own, every chunk the verbatim text at its offsets.
mod cut;
mod detect;
mod document;
mod html;
mod markdown;
mod meter;
mod options;
mod pack;
mod plain;
mod sentence;

pub use options::{Format, Options, default_overlap};
pub use pack::{Chunk, PATH_SEPARATOR};
pub use sentence::sentences;

use crate::model::Checkpoint;
use crate::model::tokenizer::TokenCounter;
use crate::{Error, Result, memory};
use pack::Packer;
use std::borrow::Cow;

/// A text and its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunked<'a> {
    /// The text that the chunks' ranges refer to: the text itself, or the text extracted from HTML.
    pub text: Cow<'a, str>,
    /// The format, found or given; never [`Format::Auto`].
    pub format: Format,
    /// In the order of their starts.
    pub chunks: Vec<Chunk>,
}

impl Chunked<'_> {
    /// The text of a chunk.
    pub fn content(&self, chunk: &Chunk) -> &str {
        &self.text[chunk.range.clone()]
    }

    /// The text that a chunk is embedded and indexed as: its heading path, a line end, its text.
    pub fn embedding_text(&self, chunk: &Chunk) -> Cow<'_, str> {
        embedding_text(&chunk.heading, self.content(chunk))
    }
}

/// Puts a heading path before the text of a chunk.
pub fn embedding_text<'a>(heading: &str, content: &'a str) -> Cow<'a, str> {
    if heading.is_empty() {
        return Cow::Borrowed(content);
    }
    Cow::Owned(format!("{heading}\n{content}"))
}

/// Divides `text` into chunks.
///
/// Every chunk has at most `max_tokens` tokens (a single character that has more stands alone),
/// and at most 40 characters per allowed token. Chunks of one section overlap by whole
/// sentences of at most `overlap_tokens`; together they cover all of the text but white space. A
/// chunk never spans two sections. `checkpoint` is called every few milliseconds.
pub fn chunk<'a>(
    text: &'a str,
    options: &Options,
    counter: &dyn TokenCounter,
    checkpoint: Checkpoint<'_>,
) -> Result<Chunked<'a>> {
    if u32::try_from(text.len()).is_err() {
        return Err(Error::too_large("the text is larger than 4 GB")
            .with_hint("Divide it into several documents."));
    }
    let format = match options.format {
        Format::Auto => detect::format(text),
        given => given,
    };
    let (text, document) = match format {
        Format::Html => {
            let (extracted, document) = html::parse(text, &mut *checkpoint)?;
            (Cow::Owned(extracted), document)
        }
        Format::Markdown => (Cow::Borrowed(text), markdown::parse(text, &mut *checkpoint)?),
        Format::Plain | Format::Auto => (Cow::Borrowed(text), plain::parse(text)),
    };
    let chunks = Packer::new(&text, &document, options, counter, checkpoint).pack()?;
    memory::check()?;
    Ok(Chunked { text, format, chunks })
}
