//! Where a block that is too large for one chunk is cut.
use super::sentence::sentences;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Text looked at beyond a limit, so that what follows can tell whether a boundary is one.
const LOOK_AHEAD_BYTES: usize = 128;
/// Characters of a grapheme; text in Unicode's stream-safe format has at most 31.
const MAX_GRAPHEME_CHARS: usize = 64;

/// The last end of a sentence in `range` that is not after `limit`.
pub(super) fn sentence(text: &str, range: Range<usize>, limit: usize) -> Option<usize> {
    let ends = sentences(ahead(text, &range, limit)).map(|sentence| range.start + sentence.end);
    ends.take_while(|&end| end <= limit).last().filter(|&end| end < range.end)
}

/// The last end of a line in `range` that is not after `limit`; a blank line in the second half is
/// better.
pub(super) fn line(text: &str, range: Range<usize>, limit: usize) -> Option<usize> {
    let before = &text[range.start..limit];
    let last = before.rfind('\n')?;
    let blank = before[before.floor_char_boundary(before.len() / 2)..].rfind("\n\n");
    let half = before.floor_char_boundary(before.len() / 2);
    Some(range.start + blank.map_or(last, |i| half + i) + 1)
}

/// The last place in `range` not after `limit`, and after its start, where a word ends: at white
/// space, else where Unicode sees a word end, else between graphemes.
pub(super) fn word(text: &str, range: Range<usize>, limit: usize) -> Option<usize> {
    let before = &text[range.start..limit];
    let next_is_space = text[limit..].starts_with(char::is_whitespace);
    if next_is_space && !before.trim().is_empty() {
        return Some(limit);
    }
    let space = before.rfind(char::is_whitespace);
    if let Some(space) = space.filter(|&space| !before[..space].trim().is_empty()) {
        return Some(range.start + space);
    }
    let window = ahead(text, &range, limit);
    let inside = |&(i, _): &(usize, &str)| i > 0 && range.start + i <= limit;
    let words = || window.split_word_bound_indices().take_while(|(i, _)| range.start + i <= limit);
    let graphemes = || window.grapheme_indices(true).take_while(|(i, _)| range.start + i <= limit);
    let bound = words().filter(inside).last().or_else(|| graphemes().filter(inside).last());
    bound.map(|(i, _)| range.start + i)
}

/// Where to cut inside the first word of `range`: the ends of graphemes in its first `most` characters. Where a
/// grapheme is longer than that, as no letter of any script is, there are none.
pub(super) fn graphemes(text: &str, range: Range<usize>, most: usize) -> Vec<usize> {
    let word = first_word(&text[range.clone()], most + MAX_GRAPHEME_CHARS);
    let cap = word.char_indices().nth(most).map_or(word.len(), |(i, _)| i);
    let ends = word.grapheme_indices(true).map(|(i, grapheme)| i + grapheme.len());
    ends.take_while(|&end| end <= cap).map(|end| range.start + end).collect()
}

/// The ends of the characters of a word: of its first grapheme's, or of at most `most`.
pub(super) fn characters(text: &str, range: Range<usize>, most: usize) -> Vec<usize> {
    let word = first_word(&text[range.clone()], most);
    let first = word.graphemes(true).next().unwrap_or_default();
    first.char_indices().map(|(i, c)| range.start + i + c.len_utf8()).collect()
}

/// The text before white space, at most so many characters.
fn first_word(text: &str, most: usize) -> &str {
    let end = text.char_indices().enumerate().find(|(n, (_, c))| *n == most || c.is_whitespace());
    end.map_or(text, |(_, (i, _))| &text[..i])
}

/// The text of `range` up to a little after `limit`.
fn ahead<'a>(text: &'a str, range: &Range<usize>, limit: usize) -> &'a str {
    let end = (limit + LOOK_AHEAD_BYTES).min(range.end);
    &text[range.start..text.floor_char_boundary(end).max(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_lines_and_words_end_before_the_limit() {
        let text = "One two. Three four. Five";
        assert_eq!(sentence(text, 0..text.len(), 22), Some(21));
        assert_eq!(sentence(text, 0..text.len(), 20), Some(9));
        assert_eq!(sentence(text, 0..text.len(), 5), None);
        assert_eq!(word(text, 0..text.len(), 6), Some(3));
        assert_eq!(word(text, 0..text.len(), 3), Some(3));
        assert_eq!(word(text, 0..text.len(), 2), None.or(Some(2)));
        assert_eq!(line("a\nb\nc", 0..5, 4), Some(4));
        assert_eq!(line("a\nb\n\nc\nd", 0..8, 7), Some(4));
        assert_eq!(line("abc", 0..3, 2), None);
    }

    #[test]
    fn a_word_is_cut_between_graphemes() {
        let text = "👩‍👩‍👧👩‍👩‍👧";
        let one = text.len() / 2;
        assert_eq!(word(text, 0..text.len(), one), Some(one));
        assert_eq!(word(text, 0..text.len(), 4), None);
        assert_eq!(graphemes(text, 0..text.len(), 10), [one, 2 * one]);
        assert_eq!(graphemes(text, 0..text.len(), 9), [one]);
        assert_eq!(characters(text, 0..text.len(), 10), [4, 7, 11, 14, 18]);
    }

    #[test]
    fn a_grapheme_without_end_is_cut_between_characters() {
        let text = format!("e{}", "\u{301}".repeat(1_000));
        assert!(graphemes(&text, 0..text.len(), 200).is_empty());
        assert_eq!(characters(&text, 0..text.len(), 200).last(), Some(&399));
        assert_eq!(graphemes("ab c", 0..4, 200), [1, 2]);
    }
}
