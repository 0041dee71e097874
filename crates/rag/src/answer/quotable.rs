//! The sentences of a passage that can be quoted.
use crate::chunk;
use std::ops::Range;

/// Longest quote in bytes; longer sentences (tables, listings, text without full stops) are cut at
/// a line end or space.
const MAX_QUOTE_BYTES: usize = 600;

/// Longest line in bytes that can be a heading.
const MAX_HEADING_BYTES: usize = 120;

/// A sentence of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Bytes of the text, without white space around them.
    pub bytes: Range<usize>,
    /// Whether it only leads to what follows: a heading, a question, an introduction to a list.
    pub is_lead: bool,
}

/// The sentences of `text[span]` in order. Bounds that [`chunk::sentences`] finds, cut further where
/// a sentence is too long to quote.
pub fn sentences(text: &str, span: Range<usize>) -> Vec<Sentence> {
    let mut found = Vec::new();
    for sentence in chunk::sentences(&text[span.clone()]) {
        push_pieces(text, span.start + sentence.start..span.start + sentence.end, &mut found);
    }
    let last = found.len().saturating_sub(1);
    let is_lead = |(n, bytes): (usize, Range<usize>)| {
        let is_lead = n < last && leads(text, &span, &bytes);
        Sentence { bytes, is_lead }
    };
    found.into_iter().enumerate().map(is_lead).collect()
}

/// Adds `range` without the white space around it, in pieces short enough to quote.
fn push_pieces(text: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let mut rest = trimmed(text, range);
    while rest.len() > MAX_QUOTE_BYTES {
        let window = &text[rest.start..text.floor_char_boundary(rest.start + MAX_QUOTE_BYTES)];
        let is_late = |at: &usize| *at > MAX_QUOTE_BYTES / 4;
        let cut = window
            .rfind('\n')
            .filter(is_late)
            .or_else(|| window.rfind(char::is_whitespace).filter(is_late))
            .unwrap_or(window.len());
        found.push(trimmed(text, rest.start..rest.start + cut));
        rest = trimmed(text, rest.start + cut..rest.end);
    }
    if !rest.is_empty() {
        found.push(rest);
    }
}

/// `range` without the white space at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = &text[range.clone()];
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..start + piece.trim().len()
}

/// Whether a sentence that others follow leads to them.
fn leads(text: &str, span: &Range<usize>, bytes: &Range<usize>) -> bool {
    let sentence = &text[bytes.clone()];
    sentence.ends_with(['?', '？', ':', '：']) || is_heading(text, span, bytes)
}

/// Whether a sentence is a short line by itself, between blank lines or marked with `#`, that no
/// full stop ends.
fn is_heading(text: &str, span: &Range<usize>, bytes: &Range<usize>) -> bool {
    let line = &text[bytes.clone()];
    if line.contains('\n')
        || line.len() > MAX_HEADING_BYTES
        || line.ends_with(['.', '!', '。', '！'])
    {
        return false;
    }
    if line.starts_with('#') {
        return true;
    }
    let before = text[span.start..bytes.start].trim_end_matches([' ', '\t', '\r']);
    let after = &text[bytes.end..span.end];
    let white = &after[..after.len() - after.trim_start().len()];
    (before.is_empty() || before.ends_with("\n\n") || before.ends_with("\n\r\n"))
        && white.matches('\n').count() > 1
}
