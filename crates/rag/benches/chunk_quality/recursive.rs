//! A recursive character splitter, as `LangChain`'s `RecursiveCharacterTextSplitter` is by default: paragraphs, else lines, else
//! words, else characters, filled up to so many characters.
use std::ops::Range;

const SEPARATORS: [&str; 4] = ["\n\n", "\n", " ", ""];

/// The chunks of `text`, without the white space around them.
pub fn split(text: &str, size: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    divide(text, 0..text.len(), &SEPARATORS, size, &mut found);
    found
        .into_iter()
        .map(|range: Range<usize>| {
            let content = &text[range.clone()];
            let start = range.start + content.len() - content.trim_start().len();
            start..start + content.trim().len()
        })
        .filter(|range| !range.is_empty())
        .collect()
}

fn divide(
    text: &str,
    range: Range<usize>,
    separators: &[&str],
    size: usize,
    found: &mut Vec<Range<usize>>,
) {
    let content = &text[range.clone()];
    let at = separators.iter().position(|s| s.is_empty() || content.contains(s)).unwrap_or(0);
    let finer = &separators[(at + 1).min(separators.len())..];
    let mut open: Option<Range<usize>> = None;
    for piece in pieces(content, separators[at]) {
        let piece = range.start + piece.start..range.start + piece.end;
        if length(&text[piece.clone()]) >= size && !separators[at].is_empty() {
            found.extend(open.take());
            if finer.is_empty() {
                found.push(piece);
            } else {
                divide(text, piece, finer, size, found);
            }
            continue;
        }
        match &mut open {
            Some(open) if length(&text[open.start..piece.end]) <= size => open.end = piece.end,
            _ => found.extend(open.replace(piece)),
        }
    }
    found.extend(open);
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Pieces that begin with the separator, but for the first.
fn pieces(text: &str, separator: &str) -> Vec<Range<usize>> {
    let mut starts: Vec<usize> = if separator.is_empty() {
        text.char_indices().map(|(i, _)| i).collect()
    } else {
        text.match_indices(separator).map(|(i, _)| i).collect()
    };
    starts.insert(0, 0);
    starts.push(text.len());
    starts.dedup();
    starts.windows(2).map(|two| two[0]..two[1]).collect()
}
