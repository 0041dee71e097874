//! Text to sentences that can be quoted.
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Longest quotable piece in bytes; longer sentences (tables, listings, text without full stops)
/// are cut at a space.
const MAX_BYTES: usize = 600;

/// Abbreviations that a name, number or further word follows: a full stop after them ends no
/// sentence even before a capital. Lower case, without the last full stop.
const ABBREVIATIONS: &[&str] = &[
    "adm", "al", "approx", "art", "bd", "bros", "bzw", "ca", "capt", "cf", "ch", "cmdr", "co",
    "col", "corp", "cpl", "dept", "dr", "e.g", "ed", "eds", "eq", "esp", "etc", "ex", "fig",
    "figs", "fr", "gen", "gov", "hon", "hr", "i.e", "inc", "incl", "jr", "lt", "ltd", "maj",
    "messrs", "mlle", "mm", "mme", "mr", "mrs", "ms", "mt", "no", "nos", "nr", "op", "p", "pp",
    "pres", "prof", "pt", "pvt", "ref", "rep", "rev", "sec", "sen", "sgt", "sr", "sra", "st",
    "ste", "str", "tel", "u.a", "usw", "v", "viz", "vol", "vols", "vs", "z.b",
];

/// The sentences of `text` as byte ranges, in order, without the white space around them.
///
/// Boundaries are Unicode's, except that a line break alone ends no sentence (text is often
/// wrapped), that blank lines, list items, headings and table rows do, and that a full stop after
/// a known abbreviation or an initial does not.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for block in blocks(text) {
        let unwrapped = text[block.clone()].replace(['\n', '\r', '\u{b}', '\u{85}'], " ");
        // Not every break is one byte long; then Unicode's own rule has to do.
        let wrapped = &text[block.clone()];
        let prose = if unwrapped.len() == wrapped.len() { &unwrapped } else { wrapped };
        let mut start = 0;
        for (at, piece) in prose.split_sentence_bound_indices() {
            let end = at + piece.len();
            if end == prose.len() || !is_unfinished(&prose[start..end]) {
                push_quotable(text, block.start + start..block.start + end, &mut found);
                start = end;
            }
        }
    }
    found
}

/// Whether the full stop that ends `sentence` belongs to an abbreviation or an initial.
fn is_unfinished(sentence: &str) -> bool {
    let Some(stem) = sentence.trim_end().strip_suffix('.') else { return false };
    let start = stem
        .rfind(|c: char| c.is_whitespace() || c == '(')
        .map_or(0, |at| at + stem[at..].chars().next().map_or(0, char::len_utf8));
    let word = &stem[start..];
    let mut letters = word.chars();
    let is_initial = matches!((letters.next(), letters.next()), (Some(c), None) if c.is_uppercase())
        && word != "I";
    is_initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

/// Pieces of text that no sentence crosses.
fn blocks(text: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let mut previous_ends = true;
    for line in text.split_inclusive(['\n', '\u{c}']) {
        let content = line.trim();
        if previous_ends || content.is_empty() || starts_block(line) {
            blocks.push(start..at);
            start = at;
        }
        previous_ends = content.is_empty() || stands_alone(line) || line.ends_with('\u{c}');
        at += line.len();
    }
    blocks.push(start..text.len());
    blocks.retain(|block| !text[block.clone()].trim().is_empty());
    blocks
}

/// Whether a line begins something new: a list item, heading, table row or indented code.
fn starts_block(line: &str) -> bool {
    let content = line.trim_start();
    let indent = line.len() - content.len();
    let marker = content.split_whitespace().next().unwrap_or("");
    let is_bullet = matches!(marker, "-" | "*" | "+" | "•" | "–" | "—" | "◦" | "▪" | "·");
    let number = marker.trim_start_matches('(').trim_end_matches(['.', ')']);
    let is_number = number.len() < marker.len()
        && number.len() <= 3
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit());
    is_bullet || is_number || indent >= 4 || line.starts_with('\t') || stands_alone(line)
}

/// Whether a line is a block of its own: a heading or a table row.
fn stands_alone(line: &str) -> bool {
    let content = line.trim();
    let is_heading = content.trim_start_matches('#').starts_with(' ') && content.starts_with('#');
    is_heading || content.starts_with('|') || content.starts_with("```") || content.contains('\t')
}

/// Adds `range` without the white space around it, in pieces short enough to quote.
fn push_quotable(text: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let mut rest = trimmed(text, range);
    while rest.len() > MAX_BYTES {
        let window = &text[rest.start..text.floor_char_boundary(rest.start + MAX_BYTES)];
        let cut = window
            .rfind('\n')
            .or_else(|| window.rfind("; "))
            .or_else(|| window.rfind(char::is_whitespace))
            .filter(|&at| at > MAX_BYTES / 4)
            .unwrap_or(window.len());
        let after = text[rest.start + cut..].chars().next().map_or(0, char::len_utf8);
        let is_kept = text[rest.start + cut..].starts_with(';');
        let cut = if is_kept { cut + after } else { cut };
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
    start..(start + piece.trim().len())
}
