//! Where sentences end: Unicode's rules, mended where they are known to cut too much.
//!
//! Unicode (UAX 29) ends a sentence at every line end and after every full stop before a capital
//! letter. Here a line that was wrapped goes on, and so does a sentence after an abbreviation, an
//! initial or the number of a list item.
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// English abbreviations that are usually followed by a capital letter or a number: titles, references.
const ABBREVIATIONS: [&str; 58] = [
    "al", "approx", "art", "ca", "capt", "cf", "ch", "chap", "cmdr", "col", "dept", "dr", "e.g",
    "ed", "eds", "eq", "eqs", "fig", "figs", "gen", "gov", "hon", "i.e", "inc", "lt", "maj",
    "messrs", "mlle", "mme", "mr", "mrs", "ms", "mt", "no", "nos", "op", "p", "para", "pp", "pres",
    "prof", "ref", "refs", "rep", "resp", "rev", "sec", "sect", "sen", "sgt", "sr", "st", "supt",
    "tab", "viz", "vol", "vols", "vs",
];

/// English abbreviations of months, weekdays and units, which a sentence may end with: one goes on before a number or another
/// of them.
const DATES_AND_UNITS: [&str; 43] = [
    "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "mon",
    "tue", "tues", "wed", "thu", "thur", "thurs", "fri", "cm", "cu", "deg", "ft", "hr", "hrs",
    "in", "kg", "km", "lb", "lbs", "max", "mi", "min", "mins", "mm", "mph", "msec", "oz", "sq",
    "temp", "yd", "yr",
];

/// What a sentence begins with after an abbreviation that may have ended the one before, such as `U.S.`.
const BEGINNINGS: [&str; 36] = [
    "a", "after", "all", "an", "and", "as", "at", "because", "but", "by", "during", "each", "for",
    "he", "her", "his", "however", "if", "in", "it", "its", "many", "most", "on", "or", "she",
    "some", "that", "the", "their", "there", "these", "they", "this", "we", "when",
];

/// Narrowest paragraph whose lines can be wrapped prose; lines of narrower ones end where they mean to.
const MIN_WIDTH: usize = 40;

/// Lines of a paragraph that its width is told by.
const PARAGRAPH_LINES: usize = 64;

/// Bytes that Unicode's rules are applied to at once. To tell whether a full stop ends a sentence they look at what
/// follows up to the next letter, again for every sign in between.
const PIECE_BYTES: usize = 1024;

/// The sentences of `text` as byte ranges. They follow each other without a gap and cover all of
/// it, white space at its end belonging to a sentence.
pub fn sentences(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut paragraph = Paragraph::default();
    let mut ends = ends(text).peekable();
    let mut start = 0;
    let mut is_blank = true;
    std::iter::from_fn(move || {
        let first = start;
        while let Some((from, end)) = ends.next() {
            is_blank = is_blank && text[from..end].trim().is_empty();
            if ends.peek().is_some() && (is_blank || goes_on(text, first..end, &mut paragraph)) {
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
            let ends = piece.split_sentence_bound_indices().flat_map(move |(i, part)| {
                let end = i + part.len();
                // Unicode's rules see a small letter behind the full stop.
                let code = part.match_indices(". `").map(move |(stop, _)| start + i + stop + 2);
                code.chain([start + end + emphasis(&piece[..end], &piece[end..])])
            });
            ends.filter(move |end| is_end || *end < last)
        })
        .map(move |end| (std::mem::replace(&mut from, end), end))
}

/// Bytes of Markdown's marks that close behind the full stop of a sentence, and of the spaces after them: `**So.** Then`.
fn emphasis(sentence: &str, next: &str) -> usize {
    let rest = next.trim_start_matches(['*', '_']);
    let is_closing = rest.len() < next.len() && sentence.ends_with(['.', '!', '?', ':', '。']);
    match rest.trim_start_matches(' ') {
        after if is_closing && after.len() < rest.len() => next.len() - after.len(),
        _ => 0,
    }
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
fn goes_on(text: &str, sentence: Range<usize>, paragraph: &mut Paragraph) -> bool {
    let content = text[sentence.clone()].trim_end();
    if text[sentence.clone()].ends_with('\n') {
        return is_wrapped(text, sentence.end - 1, paragraph) && !ends_with_terminator(content);
    }
    content.strip_suffix('.').is_some_and(|before| is_unfinished(before, &text[sentence.end..]))
}

/// The lines around a place up to blank ones, and how wide they are.
#[derive(Default)]
struct Paragraph {
    lines: Range<usize>,
    width: usize,
}

impl Paragraph {
    /// The width of the paragraph that holds the line which begins at `line`. Paragraphs are asked for in their order.
    fn width_at(&mut self, text: &str, line: usize) -> usize {
        if !self.lines.contains(&line) {
            self.lines = line..line + length(&text[line..]);
            self.width = width(&text[self.lines.clone()]);
        }
        self.width
    }
}

/// Bytes of the lines up to a blank one, or of as many as tell the width.
fn length(text: &str) -> usize {
    let lines = text.split_inclusive('\n').take(PARAGRAPH_LINES);
    lines.take_while(|line| !line.trim().is_empty()).map(str::len).sum::<usize>().max(1)
}

/// The width that lines are wrapped at: of the longest but for what is not wrapped, such as rows of tables and long addresses.
/// The last line ends where the paragraph does.
fn width(paragraph: &str) -> usize {
    let lines = || paragraph.lines().filter(|line| !begins_block(line)).map(str::len);
    let mut lengths: Vec<usize> = lines().collect();
    let all_but_last = lengths.len().saturating_sub(1).max(1);
    lengths.truncate(all_but_last);
    let middle = lengths.len() / 2;
    if lengths.is_empty() {
        return 0;
    }
    let (_, median, _) = lengths.select_nth_unstable(middle);
    let most = *median + *median / 2;
    lines().filter(|length| *length <= most).max().unwrap_or(0)
}

/// Whether a line is a block's own beginning whatever stands before it: a table's row, a list item, a heading, a fence.
fn begins_block(line: &str) -> bool {
    let line = line.trim_start();
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with(['|', '#'])
        || ["- ", "* ", "+ ", "```", "~~~", "• "].iter().any(|mark| line.starts_with(mark))
        || (number.len() < line.len() && (number.starts_with(". ") || number.starts_with(") ")))
}

/// Whether the line that ends at `end` only ends because the next word had no room, or because it is wrapped raggedly: lines
/// wrapped by hand leave some.
fn is_wrapped(text: &str, end: usize, paragraph: &mut Paragraph) -> bool {
    let start = text[..end].rfind('\n').map_or(0, |i| i + 1);
    let (line, next) = (&text[start..end], text[end + 1..].split('\n').next().unwrap_or_default());
    let word = next.split_whitespace().next().map_or(0, str::len);
    // Cheap first: a listing of short lines is looked at again for every chunk of it.
    let is_short = line.len() + 1 + word <= MIN_WIDTH - MIN_WIDTH / 4;
    if is_short || word == 0 || begins_block(next) || line.trim_start().starts_with(['|', '#']) {
        return false;
    }
    let width = paragraph.width_at(text, start);
    let has_no_room = end > start && line.len() + 1 + word > width - width / 4;
    let is_ragged = line.len() >= MIN_WIDTH && next.starts_with(char::is_lowercase);
    width >= MIN_WIDTH && (has_no_room || is_ragged)
}

fn ends_with_terminator(content: &str) -> bool {
    let content = content.trim_end_matches(['"', '\'', ')', ']', '»', '”', '’']);
    content.ends_with(['.', '!', '?', '…', ':', ';', '。', '！', '？'])
}

/// Whether what stands before a full stop does not end a sentence, when `next` stands behind it.
fn is_unfinished(content: &str, next: &str) -> bool {
    let start = content.rfind([' ', '\n', '\t', '(', '[']).map_or(0, |i| i + 1);
    let word = &content[start..];
    let is_known = |words: &[&str], word: &str| words.iter().any(|w| word.eq_ignore_ascii_case(w));
    let mut chars = word.chars();
    let is_initial = chars.next().is_some_and(char::is_uppercase) && chars.next().is_none();
    // `1.`, `25.1.5.`: the number of an item or a heading.
    let is_number = start == 0
        && word.starts_with(|c: char| c.is_ascii_digit())
        && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_initial || is_number || is_known(&ABBREVIATIONS, word) {
        return true;
    }
    let next = next.trim_start();
    let next_word = next.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    if is_known(&DATES_AND_UNITS, word) {
        return next.starts_with(|c: char| c.is_ascii_digit())
            || (is_known(&DATES_AND_UNITS, next_word) && next[next_word.len()..].starts_with('.'));
    }
    is_acronym(word) && !next_word.is_empty() && !is_known(&BEGINNINGS, next_word)
}

/// Letters with full stops between them: `U.S`, `a.m`.
fn is_acronym(word: &str) -> bool {
    let is_letter = |part: &str| {
        let mut chars = part.chars();
        chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
    };
    word.contains('.') && word.split('.').all(is_letter)
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
        assert_eq!(
            split("It ends. `f(x)` begins, cf. `g`."),
            ["It ends. ", "`f(x)` begins, cf. `g`."]
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
    fn months_weekdays_units_and_acronyms_go_on_where_a_number_or_name_follows() {
        for text in [
            "It returns to cinemas on Dec. 14. ",
            "Closed on Fri. Nov. 5. ",
            "It is 5 ft. 3. ",
            "The U.S. Senate met. ",
            "Ask Sgt. Miller. ",
            "25.1.5. Preventing wraparound is a duty. ",
            "At 5 p.m. Paris time. ",
        ] {
            assert_eq!(split(&format!("{text}Then it ends.")), [text, "Then it ends."]);
        }
        assert_eq!(split("It ended in Dec. She left."), ["It ended in Dec. ", "She left."]);
        assert_eq!(split("It weighs 5 kg. The box."), ["It weighs 5 kg. ", "The box."]);
        assert_eq!(split("He left the U.S. The rest."), ["He left the U.S. ", "The rest."]);
        assert_eq!(split("Go in. Sit down."), ["Go in. ", "Sit down."]);
    }

    #[test]
    fn marks_that_close_behind_a_full_stop_belong_to_the_sentence() {
        assert_eq!(
            split("**Where it goes.** Over https. *So!* Then"),
            ["**Where it goes.** ", "Over https. ", "*So!* ", "Then"]
        );
        assert_eq!(split("A *b*. *C* d."), ["A *b*. ", "*C* d."]);
    }

    #[test]
    fn a_long_line_elsewhere_does_not_break_wrapped_sentences() {
        let wrapped = "The owner must be allowed to create tables in the source\nschema, and every row is queued.";
        let row = format!("| lexical | {} |\n", "a very long row ".repeat(40));
        let address = "x".repeat(400);
        for text in [
            format!("{row}\n{wrapped}"),
            format!("{row}{wrapped}"),
            format!("{wrapped}\n\n{row}"),
            format!("{wrapped}\n\n{address}"),
            format!("# {address}\n{wrapped}"),
            format!("{}\n\n{wrapped}", "One long line of prose. ".repeat(30)),
        ] {
            assert!(split(&text).iter().any(|sentence| sentence.trim() == wrapped), "{text}");
        }
    }

    #[test]
    fn ragged_lines_go_on_and_list_items_do_not() {
        let ragged = "A line that is wrapped long before the others are, and\nanother one that is a good deal longer than it, up to the width of the text\nends here.";
        assert_eq!(split(ragged), [ragged]);
        let items = "- an item whose line is as long as wrapped prose can be\n- another item of the list\n1. and a third that is as long as wrapped prose can be";
        assert_eq!(split(items).len(), 3);
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
