//! Where sentences end: Unicode's rules, mended where they are known to cut too much.
//!
//! Unicode (UAX 29) ends a sentence at every line end and after every full stop before a capital
//! letter. Here a line that was wrapped goes on, and so does a sentence after an abbreviation, an
//! initial or the number of a list item.
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// English abbreviations that are usually followed by a capital letter or a number.
const ABBREVIATIONS: [&str; 42] = [
    "al", "approx", "art", "ca", "cf", "ch", "chap", "col", "dr", "e.g", "ed", "eds", "eq", "eqs",
    "fig", "figs", "gen", "i.e", "lt", "mr", "mrs", "ms", "mt", "no", "nos", "p", "pp", "prof",
    "ref", "refs", "rep", "resp", "rev", "sec", "sen", "st", "vol", "vols", "vs", "viz", "dept",
    "inc",
];

/// Narrowest text whose lines can be wrapped prose; lines of narrower text end where they mean to.
const MIN_WIDTH: usize = 40;

/// Bytes that Unicode's rules are applied to at once. To tell whether a full stop ends a sentence they look at what
/// follows up to the next letter, again for every sign in between.
const PIECE_BYTES: usize = 1024;

/// The sentences of `text` as byte ranges. They follow each other without a gap and cover all of
/// it, white space at its end belonging to a sentence.
pub fn sentences(text: &str) -> impl Iterator<Item = Range<usize>> {
    let width = text.split('\n').map(str::len).max().unwrap_or(0);
    let mut ends = ends(text).peekable();
    let mut start = 0;
    let mut is_blank = true;
    std::iter::from_fn(move || {
        let first = start;
        while let Some((from, end)) = ends.next() {
            is_blank = is_blank && text[from..end].trim().is_empty();
            if ends.peek().is_some() && (is_blank || goes_on(text, first..end, width)) {
                continue;
            }
            (start, is_blank) = (end, true);
            return Some(first..end);
        }
        None
    })
}

/// Where Unicode's rules end a sentence, and where the last of them did.
fn ends(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    let mut from = 0;
    pieces(text)
        .flat_map(move |(piece, is_end)| {
            let start = at;
            at += piece.len();
            let last = at;
            let ends =
                piece.split_sentence_bound_indices().map(move |(i, part)| start + i + part.len());
            ends.filter(move |end| is_end || *end < last)
        })
        .map(move |end| (std::mem::replace(&mut from, end), end))
}

/// A line or a part of one, and whether a sentence ends with it: a part ends between a letter and a space, where
/// none does.
fn pieces(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let beginning = &rest.as_bytes()[..rest.len().min(PIECE_BYTES)];
        let line = beginning.iter().position(|b| *b == b'\n').map(|i| i + 1);
        let end = line.unwrap_or_else(|| part_end(rest));
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some((piece, line.is_some() || after.is_empty()))
    })
}

fn part_end(text: &str) -> usize {
    if text.len() <= PIECE_BYTES {
        return text.len();
    }
    let part = &text[..text.floor_char_boundary(PIECE_BYTES)];
    let is_inside = |i: &usize| part[..*i].ends_with(char::is_alphanumeric);
    part.rmatch_indices(' ').map(|(i, _)| i).find(is_inside).unwrap_or(part.len())
}

/// Whether the sentence that Unicode's rules end at `sentence.end` goes on.
fn goes_on(text: &str, sentence: Range<usize>, width: usize) -> bool {
    let content = text[sentence.clone()].trim_end();
    if text[sentence.clone()].ends_with('\n') {
        return is_wrapped(text, sentence.end - 1, width) && !ends_with_terminator(content);
    }
    content.strip_suffix('.').is_some_and(is_unfinished)
}

/// Whether the line that ends at `end` only ends because the next word had no room. Lines wrapped
/// by hand leave some.
fn is_wrapped(text: &str, end: usize, width: usize) -> bool {
    let line = text[..end].rfind('\n').map_or(0, |i| i + 1);
    let next = text[end + 1..].split('\n').next().unwrap_or_default();
    let word = next.split_whitespace().next().map_or(0, str::len);
    width >= MIN_WIDTH && word > 0 && end > line && end - line + 1 + word > width - width / 8
}

fn ends_with_terminator(content: &str) -> bool {
    let content = content.trim_end_matches(['"', '\'', ')', ']', '»', '”', '’']);
    content.ends_with(['.', '!', '?', '…', ':', ';', '。', '！', '？'])
}

/// Whether what stands before a full stop does not end a sentence.
fn is_unfinished(content: &str) -> bool {
    let start = content.rfind([' ', '\n', '\t', '(', '[']).map_or(0, |i| i + 1);
    let word = &content[start..];
    let mut chars = word.chars();
    let is_initial = chars.next().is_some_and(char::is_uppercase) && chars.next().is_none();
    let is_number = start == 0 && !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    is_initial || is_number || ABBREVIATIONS.iter().any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        let ranges: Vec<Range<usize>> = sentences(text).collect();
        let mut at = 0;
        for range in &ranges {
            assert_eq!(range.start, at);
            at = range.end;
        }
        assert_eq!(at, text.len());
        ranges.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn sentences_end_at_boundaries_of_unicode() {
        assert_eq!(
            split("One. Two? \"Three!\" 4.5 is four."),
            ["One. ", "Two? ", "\"Three!\" ", "4.5 is four."]
        );
        assert_eq!(split("一つ。二つ！三つ"), ["一つ。", "二つ！", "三つ"]);
        assert!(split("").is_empty());
    }

    #[test]
    fn abbreviations_initials_and_numbers_do_not_end_a_sentence() {
        for text in [
            "See Fig. 3 and Sec. IV.",
            "Ask J. R. Smith.",
            "1. Install it.",
            "(cf. Gray) x",
            "Use e.g. PL/SQL.",
        ] {
            assert_eq!(split(text), [text]);
        }
        assert_eq!(split("It has no. It ends."), ["It has no. It ends."]);
        assert_eq!(split("Version 15. Then 16."), ["Version 15. ", "Then 16."]);
    }

    #[test]
    fn wrapped_lines_go_on_and_short_lines_end() {
        let wrapped = "The quick brown fox jumps over the lazy dog and\nruns away into the deep dark forest. Nobody\nsaw it again.";
        assert_eq!(split(wrapped).len(), 2);
        assert_eq!(split("Name: Ada\nBorn: 1815\nDied: 1852").len(), 3);
        let list = "short\nlines\nof a list that has one long line to set the width of the text";
        assert_eq!(split(list).len(), 3);
    }
}
