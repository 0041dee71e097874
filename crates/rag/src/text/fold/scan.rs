//! Reads a text into the characters that are compared.
use super::entity;
use super::markup::{self, LineMark};
use super::unit::{Gap, Unit, is_word};
use crate::memory;
use crate::text::characters::{fold_case, is_apostrophe, is_dash, is_ignorable, is_quotation_mark};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Most characters that are one with the letter before them; more is no text of any language.
const MAX_CLUSTER: usize = 16;
/// Most marks at the beginning of a line, such as those of quotations in quotations.
const MAX_LINE_MARKS: usize = 8;

/// A text that is being read.
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    units: Vec<Unit>,
    /// What was read since the last character.
    gap: Gap,
    /// Of open links, the innermost last: where the text ends, and where the link does.
    links: Vec<(usize, usize)>,
    /// Open emphasis: mark and length.
    emphasis: Vec<(char, usize)>,
    /// Where the number of a list item ends.
    numbering_end: usize,
    is_table_row: bool,
}

impl<'t> Scanner<'t> {
    /// Where there is no memory for them, the next [`memory::check`] fails.
    pub fn scan(text: &'t str) -> Vec<Unit> {
        let mut scanner = Self {
            text,
            at: 0,
            units: memory::with_room(text.len()),
            gap: Gap::default(),
            links: Vec::new(),
            emphasis: Vec::new(),
            numbering_end: 0,
            is_table_row: false,
        };
        scanner.line_start();
        while scanner.at < text.len() {
            scanner.step();
        }
        scanner.units
    }

    fn next(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn previous(&self, at: usize) -> Option<char> {
        self.text[..at].chars().next_back()
    }

    /// Leaves out the marks at the beginning of a line.
    fn line_start(&mut self) {
        for _ in 0..MAX_LINE_MARKS {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
            let rest = &self.text[self.at..];
            let line = rest.split('\n').next().unwrap_or_default();
            self.is_table_row = line.starts_with('|');
            match markup::line_mark(line) {
                Some(LineMark::Line(length)) => {
                    self.gap.0 |= Gap::SPACE;
                    self.at += length;
                    return;
                }
                Some(LineMark::Block(length)) => {
                    self.gap.0 |= Gap::SPACE;
                    self.at += length;
                }
                Some(LineMark::Bullet(length)) => {
                    self.gap.0 |= Gap::SPACE | Gap::BULLET;
                    self.at += length;
                }
                Some(LineMark::Number(length)) => {
                    self.numbering_end = self.at + length;
                    return;
                }
                None => return,
            }
        }
    }

    fn step(&mut self) {
        let start = self.at;
        if let Some((_, end)) = self.links.pop_if(|(close, _)| *close == start) {
            self.at = end;
            return;
        }
        let rest = &self.text[start..];
        let entity = if rest.starts_with('&') { entity::read(rest) } else { None };
        let Some((c, length)) = entity.or_else(|| rest.chars().next().map(|c| (c, c.len_utf8())))
        else {
            return;
        };
        self.at += length;
        match c {
            '\n' if entity.is_none() => {
                // A hyphen behind a letter may divide the word.
                if self.gap.0 & !Gap::SPACE == Gap::HYPHEN && self.is_behind_hyphen(start) {
                    self.gap.0 |= Gap::LINE_END;
                }
                self.gap.0 |= Gap::SPACE;
                self.line_start();
            }
            '\u{ad}' if self.text[self.at..].starts_with(['\n', '\r']) => self.soft_line_end(),
            c if is_ignorable(c) => {}
            c if c.is_whitespace() => self.gap.0 |= Gap::SPACE,
            c if is_dash(c) => self.dash(),
            c if is_quotation_mark(c) => self.quotation_mark(c),
            '*' | '_' | '~' if entity.is_none() => self.emphasis(c, start),
            '|' if entity.is_none() => self.bar(start),
            '[' | '!' if entity.is_none() && self.link(start) => {}
            '\\' if entity.is_none() && self.next().is_some_and(|c| c.is_ascii_punctuation()) => {
                if let Some(c) = self.next() {
                    self.at += 1;
                    self.push(c, start);
                }
            }
            '.' | '…' | '⋯' => self.dots(c, start),
            c => self.cluster(c, start),
        }
    }

    /// Whether the hyphen that was read stands directly behind a letter, and only blanks behind it, up to the line end at `end`.
    fn is_behind_hyphen(&self, end: usize) -> bool {
        let is_blank = |c: char| matches!(c, ' ' | '\t' | '\r') || is_ignorable(c);
        let line = self.text[..end].trim_end_matches(is_blank);
        let word = line.trim_end_matches(is_dash);
        word.len() < line.len()
            && word.trim_end_matches(is_ignorable).ends_with(char::is_alphabetic)
            && begins_with_letter(&self.text[end..])
    }

    /// A line end behind a soft hyphen divides a word.
    fn soft_line_end(&mut self) {
        let rest = &self.text[self.at..];
        let white = rest.len() - rest.trim_start().len();
        let is_behind_letter = self.gap == Gap::default()
            && self.units.last().is_some_and(|unit| unit.c.is_alphabetic());
        if is_behind_letter && begins_with_letter(rest) {
            self.at += white;
            self.gap.0 |= Gap::LINE_END;
        }
    }

    /// A dash, or several of them.
    fn dash(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches(is_dash).len();
        let is_free =
            self.gap.has(Gap::SPACE) || self.units.last().is_none_or(|unit| !is_word(unit.c));
        if is_free && self.next().is_some_and(char::is_numeric) {
            self.gap.0 |= Gap::SIGN;
        }
        self.gap.0 |= Gap::HYPHEN;
    }

    fn quotation_mark(&mut self, c: char) {
        let is_inside = self.gap == Gap::default()
            && self.units.last().is_some_and(|unit| is_word(unit.c))
            && self.text[self.at..].chars().find(|c| !is_ignorable(*c)).is_some_and(is_word);
        if is_apostrophe(c) && is_inside {
            self.gap.0 |= Gap::APOSTROPHE;
        }
    }

    /// Marks of emphasis are left out where they are such: not between spaces, nor inside a name or a product.
    fn emphasis(&mut self, mark: char, start: usize) {
        let rest = &self.text[start..];
        let length = rest.len() - rest.trim_start_matches(mark).len();
        self.at = start + length;
        let (before, behind) = (self.previous(start), self.next());
        let is_blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
        let is_inner = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let closes = !is_blank(before) && self.emphasis.last() == Some(&(mark, length));
        let is_mark = match mark {
            _ if is_blank(before) && is_blank(behind) => false,
            _ if closes && !(mark == '_' && is_inner(behind)) => {
                self.emphasis.pop();
                true
            }
            '~' => length == 2,
            _ if is_inner(before) && is_inner(behind) => false,
            '*' if (before, behind) == (Some('('), Some(')')) => false,
            '*' => {
                if !is_inner(before) && !is_blank(behind) {
                    self.emphasis.push((mark, length));
                }
                true
            }
            _ => {
                let opens = !is_inner(before)
                    && !is_blank(behind)
                    && markup::closes(&self.text[self.at..], length);
                if opens {
                    self.emphasis.push((mark, length));
                }
                opens
            }
        };
        if !is_mark {
            (0..length).for_each(|i| self.push_unit(mark, start + i, start + i + 1));
        }
    }

    /// The bar between two cells of a table.
    fn bar(&mut self, start: usize) {
        let is_blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
        let (before, behind) = (self.previous(start), self.next());
        let is_single = before != Some('|') && behind != Some('|');
        if self.is_table_row || is_single && (is_blank(before) || is_blank(behind)) {
            self.gap.0 |= Gap::SPACE;
        } else {
            self.push('|', start);
        }
    }

    /// Whether a link begins at `start`; its target is left out.
    fn link(&mut self, start: usize) -> bool {
        let rest = &self.text[start..];
        let open = if rest.starts_with("![") { 2 } else { 1 };
        let is_free = !self.previous(start).is_some_and(|c| c.is_alphanumeric() || c == ']');
        if !is_free || !rest[..open].ends_with('[') {
            return false;
        }
        let Some((close, end)) = markup::link(&rest[open..]) else { return false };
        self.at = start + open;
        self.links.push((self.at + close, self.at + end));
        true
    }

    /// Full stops; three of them are an ellipsis, with spaces or without.
    fn dots(&mut self, c: char, start: usize) {
        let rest = &self.text[start..];
        let length = if c != '.' {
            rest.len() - rest.trim_start_matches(['…', '⋯']).len()
        } else if rest.starts_with(". . .") {
            5
        } else {
            Some(rest.len() - rest.trim_start_matches('.').len()).filter(|n| *n >= 3).unwrap_or(1)
        };
        self.at = start + length;
        self.push(if c == '.' && length == 1 { '.' } else { '…' }, start);
    }

    /// A letter with the marks that are written above or below it, in compatibility form.
    fn cluster(&mut self, c: char, start: usize) {
        let joins = |c: char| {
            is_combining_mark(c)
                || matches!(c, '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}' | '\u{ff9e}' | '\u{ff9f}')
        };
        let rest = &self.text[self.at..];
        if c.is_ascii() && !rest.starts_with(|c: char| !c.is_ascii()) {
            return self.push(c, start);
        }
        let marks: Vec<char> = rest.chars().take_while(|c| joins(*c)).take(MAX_CLUSTER).collect();
        self.at += marks.iter().map(|c| c.len_utf8()).sum::<usize>();
        let last = self.units.last().filter(|_| self.gap == Gap::default()).map(|unit| unit.c);
        let is_behind_digit = last.is_some_and(char::is_numeric);
        let shown = std::iter::once(c).chain(marks.into_iter().filter(|c| !is_ignorable(*c)));
        let folded: Vec<char> = shown.nfkc().collect();
        // 10² is not 102, nor 1½ eleven halves.
        if is_behind_digit && folded.contains(&'\u{2044}') {
            self.gap.0 |= Gap::SPACE;
        } else if is_behind_digit && matches!(c, '²' | '³' | '¹' | '\u{2070}'..='\u{2079}') {
            self.push('^', start);
        }
        for c in folded {
            match c {
                '\u{2044}' => self.push('/', start),
                c if c.is_whitespace() => self.gap.0 |= Gap::SPACE,
                c if is_dash(c) => self.gap.0 |= Gap::HYPHEN,
                c if is_quotation_mark(c) => {}
                c => self.push(c, start),
            }
        }
    }

    /// A character of what was read from `start` on.
    fn push(&mut self, c: char, start: usize) {
        let end = self.at;
        fold_case(c, |c| self.push_unit(c, start, end));
    }

    fn push_unit(&mut self, c: char, start: usize, end: usize) {
        let length = u16::try_from(end - start).unwrap_or(u16::MAX);
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        let is_numbering = (start as usize) < self.numbering_end;
        let before = std::mem::take(&mut self.gap);
        memory::push(&mut self.units, Unit { c, start, length, before, is_numbering });
    }
}

/// Whether the first that shows in a text is a letter.
fn begins_with_letter(text: &str) -> bool {
    text.trim_start_matches(|c: char| c.is_whitespace() || is_ignorable(c))
        .starts_with(char::is_alphabetic)
}
