//! Texts folded for comparison: a quote is found whatever became of its typography and markup.
//!
//! What is compared are letters, digits and symbols, in Unicode's compatibility form and lower case. White space, hyphens and apostrophes
//! are no characters here but what stands *between* two: of a quote and its text they must agree where they part or join
//! words, sign a number or divide it, and nowhere else. Quotation marks, emphasis, code ticks, link targets, marks of lists,
//! headings and tables, soft hyphens and zero-width characters are left out. Each character knows which bytes of
//! the text it comes from.
mod entity;
mod markup;
mod scan;
mod unit;

use super::script::is_unspaced;
use crate::memory;
use scan::Scanner;
use std::ops::Range;
use unit::{Gap, Unit, is_word};

/// Least information of a quote, in letters: what says less stands in any text.
const MIN_LETTERS: usize = 8;
/// Most comparisons of what stands between characters, for texts that repeat themselves.
const MAX_COMPARISONS: usize = 1 << 20;

/// A text, folded.
#[derive(Debug, Default)]
pub struct Folded {
    units: Vec<Unit>,
    /// The same without the numbers of list items, if there are any.
    unnumbered: Option<Vec<Unit>>,
}

/// A word of a folded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As it is compared; of scripts without spaces, two characters that follow each other.
    pub text: String,
    /// Its bytes.
    pub bytes: Range<usize>,
}

impl Folded {
    /// Folds `text`.
    pub fn of(text: &str) -> Self {
        let units = Scanner::scan(text);
        let unnumbered = units.iter().any(|unit| unit.is_numbering).then(|| {
            let mut kept = memory::with_room(units.len());
            let mut gap = Gap::default();
            for mut unit in units.iter().copied() {
                if unit.is_numbering {
                    gap = Gap(gap.0 | unit.before.0 | Gap::SPACE);
                } else {
                    unit.before = Gap(unit.before.0 | std::mem::take(&mut gap).0);
                    memory::push(&mut kept, unit);
                }
            }
            kept
        });
        Self { units, unnumbered }
    }

    /// Whether there is nothing to compare.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// How much it says, in letters: a character of Han stands for four, one of another script without spaces for two.
    pub fn letters(&self) -> usize {
        self.units.iter().map(|unit| letters(unit.c)).sum()
    }

    /// Whether both are the same text.
    pub fn is_same(&self, other: &Self) -> bool {
        self.units.len() == other.units.len() && fits(&self.units, 0, &other.units)
    }

    /// The bytes of `text`, which this is folded from, where `quote` stands first: at word edges, and not within a number. A
    /// quote of less than eight letters counts only if it is all of the text.
    pub fn find(&self, text: &str, quote: &Self) -> Option<Range<usize>> {
        let bytes = self.find_units(&quote.units).or_else(|| {
            // Quotes that were cut short end with a mark of their own.
            let is_stop = |unit: &Unit| {
                matches!(
                    unit.c,
                    '.' | ',' | ';' | ':' | '!' | '?' | '…' | '。' | '、' | '！' | '？'
                )
            };
            let from = quote.units.iter().position(|unit| unit.c != '…')?;
            let to = quote.units.iter().rposition(|unit| !is_stop(unit))? + 1;
            (to - from.min(to) < quote.units.len())
                .then(|| self.find_units(&quote.units[from..to]))
                .flatten()
        })?;
        Some(markup::balanced(text, bytes))
    }

    /// Whether `other` stands somewhere, at word edges, however short it is.
    pub fn contains(&self, other: &Self) -> bool {
        let is_whole =
            |at: &usize| is_edge(&self.units, *at) && is_edge(&self.units, *at + other.units.len());
        !other.is_empty()
            && occurrences(&self.units, &other.units)
                .filter(is_whole)
                .any(|at| fits(&self.units, at, &other.units))
    }

    fn find_units(&self, quote: &[Unit]) -> Option<Range<usize>> {
        let texts = std::iter::once(&self.units).chain(&self.unnumbered);
        { texts }.find_map(|units| find(units, quote))
    }

    /// Its words in order; pairs of characters where a script has no spaces.
    pub fn words(&self) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        let mut is_open = false;
        for (i, unit) in self.units.iter().enumerate() {
            let bytes = unit.start as usize..unit.end();
            if !is_word(unit.c) {
                is_open = false;
            } else if is_unspaced(unit.c) {
                is_open = false;
                let next =
                    self.units.get(i + 1).filter(|next| is_unspaced(next.c) && is_word(next.c));
                let is_behind = i > 0 && is_unspaced(self.units[i - 1].c);
                if next.is_some() || !is_behind {
                    let text = std::iter::once(unit.c).chain(next.map(|next| next.c)).collect();
                    let end = next.map_or(bytes.end, |next| next.end());
                    words.push(Word { text, bytes: bytes.start..end });
                }
            } else {
                let is_joined = unit.before.0 & !(Gap::LINE_END | Gap::APOSTROPHE) == 0
                    || unit.before.has(Gap::LINE_END);
                match words.last_mut().filter(|_| is_open && is_joined) {
                    Some(word) => {
                        if unit.before.has(Gap::APOSTROPHE) {
                            word.text.push('\'');
                        }
                        word.text.push(unit.c);
                        word.bytes.end = bytes.end.max(word.bytes.end);
                    }
                    None => words.push(Word { text: unit.c.into(), bytes }),
                }
                is_open = true;
            }
        }
        words
    }
}

fn letters(c: char) -> usize {
    match c {
        _ if !is_unspaced(c) => 1,
        '\u{2e80}'..='\u{2fdf}'
        | '\u{3400}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}' => 4,
        _ => 2,
    }
}

/// The bytes of `quote` in a text of `units`.
fn find(units: &[Unit], quote: &[Unit]) -> Option<Range<usize>> {
    let is_short = quote.iter().map(|unit| letters(unit.c)).sum::<usize>() < MIN_LETTERS
        && quote.len() < units.len();
    if is_short || !quote.iter().any(|unit| unit.c.is_alphanumeric()) {
        return None;
    }
    let mut left = MAX_COMPARISONS;
    let at = occurrences(units, quote)
        .filter(|at| is_edge(units, *at) && is_edge(units, *at + quote.len()))
        .find(|at| {
            left = left.saturating_sub(quote.len());
            left > 0 && fits(units, *at, quote)
        })?;
    Some(units[at].start as usize..units[at + quote.len() - 1].end())
}

/// Whether a quote may begin or end before the character at `at`: not inside a word, where "safe" would be found in
/// "unsafe", nor inside a number.
fn is_edge(units: &[Unit], at: usize) -> bool {
    let (Some(before), Some(unit)) = (at.checked_sub(1).map(|i| units[i]), units.get(at)) else {
        // A number at the beginning keeps its sign.
        return units.get(at).is_none_or(|unit| !unit.before.has(Gap::SIGN));
    };
    let gap = unit.before;
    let is_digit = |i: usize| units.get(i).is_some_and(|unit| unit.c.is_numeric());
    let is_joined = |i: usize| units.get(i).is_some_and(|unit| unit.before == Gap::default());
    let is_point = |c: char| matches!(c, '.' | ',' | ':' | '/');
    if gap.has(Gap::SIGN) && unit.c.is_numeric() {
        return false;
    }
    // 3|.5, 3.|5, 3|%
    if gap == Gap::default()
        && (is_digit(at - 1) && is_point(unit.c) && is_digit(at + 1) && is_joined(at + 1)
            || at > 1
                && is_point(before.c)
                && before.before == Gap::default()
                && is_digit(at - 2)
                && is_digit(at)
            || is_digit(at - 1) && matches!(unit.c, '%' | '°' | '‰' | '^'))
    {
        return false;
    }
    if !is_word(before.c) || !is_word(unit.c) || is_unspaced(before.c) || is_unspaced(unit.c) {
        return true;
    }
    // don|'t
    let is_short = unit.c == 't' && !(is_joined(at + 1) && is_word(units[at + 1].c));
    gap.is_space() || gap.is_hyphen() || gap.has(Gap::APOSTROPHE) && !is_short
}

/// Whether what stands between the characters of `quote` agrees with the text at `at`, whose characters are the same.
fn fits(units: &[Unit], at: usize, quote: &[Unit]) -> bool {
    (0..quote.len()).all(|i| {
        units[at + i].c == quote[i].c
            && (i == 0 || {
                let before = |n: usize| i.checked_sub(n).map(|i| quote[i].c);
                agree(before(2), quote[i - 1].c, quote[i].c, units[at + i].before, quote[i].before)
            })
    })
}

/// Whether two gaps between the same characters mean the same; `earlier` stands before both.
fn agree(earlier: Option<char>, before: char, c: char, text: Gap, quote: Gap) -> bool {
    if text == quote {
        return true;
    }
    let is_either = |bits: u8| text.has(bits) || quote.has(bits);
    if text.is_hyphen() != quote.is_hyphen() {
        // A hyphen at a line end may be the word's own; the mark of a list item may have become a dash.
        return is_either(Gap::LINE_END)
            && !is_either(Gap::SIGN)
            && text.is_space() == quote.is_space()
            || is_either(Gap::BULLET) && text.is_space() && quote.is_space();
    }
    if text.has(Gap::SIGN) != quote.has(Gap::SIGN) && text.is_hyphen() && !is_word(before) {
        return false;
    }
    if text.is_hyphen() {
        return true;
    }
    if text.has(Gap::APOSTROPHE) != quote.has(Gap::APOSTROPHE) {
        return false;
    }
    if text.is_space() == quote.is_space() {
        return true;
    }
    // "3. 5" is not 3.5.
    let is_decimal = c.is_numeric()
        && matches!(before, '.' | ',' | ':')
        && earlier.is_some_and(char::is_numeric);
    let is_unit = before.is_numeric() && c.is_alphabetic();
    !is_decimal
        && (is_unit || !is_word(before) || !is_word(c) || is_unspaced(before) || is_unspaced(c))
}

/// Where the characters of `wanted`, which is not empty, occur in `text`, overlapping or not. Knuth, Morris and Pratt's
/// search: a quote of one letter repeated takes no longer than another.
fn occurrences<'t>(text: &'t [Unit], wanted: &'t [Unit]) -> impl Iterator<Item = usize> + 't {
    // For each prefix, the length of the longest shorter prefix that it ends with.
    let mut borders = vec![0; wanted.len()];
    let mut matched = 0;
    for at in 1..wanted.len() {
        while matched > 0 && wanted[at].c != wanted[matched].c {
            matched = borders[matched - 1];
        }
        matched += usize::from(wanted[at].c == wanted[matched].c);
        borders[at] = matched;
    }
    let mut matched = 0;
    text.iter().enumerate().filter_map(move |(at, unit)| {
        while matched > 0 && (matched == wanted.len() || unit.c != wanted[matched].c) {
            matched = borders[matched - 1];
        }
        matched += usize::from(unit.c == wanted[matched].c);
        (matched == wanted.len()).then(|| at + 1 - wanted.len())
    })
}

#[cfg(test)]
mod tests;
