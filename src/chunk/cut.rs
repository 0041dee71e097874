//! Where a block that is too large for one chunk is cut.
use super::sentence::sentences;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Text looked at beyond a limit, so that what follows can tell whether a boundary is one.
const AHEAD: usize = 128;

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

/// Where to cut inside the first word of `range`: the ends of graphemes in its first `most`
/// characters, and those of the first grapheme's characters.
pub(super) fn inside_word(
    text: &str,
    range: Range<usize>,
    most: usize,
) -> (Vec<usize>, Vec<usize>) {
    let start = range.start;
    let rest = &text[range];
    let word = &rest[..rest.find(char::is_whitespace).unwrap_or(rest.len())];
    let cap = word.char_indices().nth(most).map_or(word.len(), |(i, _)| i);
    let ends = |(i, grapheme): (usize, &str)| start + i + grapheme.len();
    let graphemes = word.grapheme_indices(true).map(ends);
    let graphemes: Vec<usize> = graphemes.take_while(|&end| end <= start + cap).collect();
    let first = graphemes.first().map_or(&word[..cap], |&end| &text[start..end]);
    let chars = first.char_indices().map(|(i, c)| start + i + c.len_utf8());
    (graphemes, chars.collect())
}

/// The text of `range` up to a little after `limit`.
fn ahead<'a>(text: &'a str, range: &Range<usize>, limit: usize) -> &'a str {
    let end = (limit + AHEAD).min(range.end);
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
        let (graphemes, chars) = inside_word(text, 0..text.len(), 10);
        assert_eq!(graphemes, [one, 2 * one]);
        assert_eq!(chars, [4, 7, 11, 14, 18]);
    }
}
