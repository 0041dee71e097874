//! Search text as a user types it, parsed into a structure that full-text search takes without error.
//!
//! The glue gives the parts to PostgreSQL as parameters: the words of [`Query::text`] through
//! `to_tsvector` and [`any_of`], each phrase and exclusion through `phraseto_tsquery`. None of those
//! has a syntax a user could get wrong.

use crate::{Error, Result};

/// Longest part of a text that is searched for; what follows is left out.
const MAX_BYTES: usize = 16 * 1024;
/// PostgreSQL refuses words of 2,047 bytes or more; longer ones are parted.
const MAX_WORD_BYTES: usize = 2_000;
/// Most phrases and most exclusions; further ones count as plain text.
const MAX_PARTS: usize = 16;

/// What a search text may ask for beside its words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Syntax {
    /// Phrases in quotation marks. People paste options of commands and lists that begin with hyphens.
    #[default]
    Words,
    /// As web search engines have it, also words that must not occur, behind a hyphen.
    Web,
}

impl Syntax {
    const ALL: [Self; 2] = [Self::Words, Self::Web];

    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Web => "web",
        }
    }

    /// The syntax of this name.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|syntax| syntax.name() == name).ok_or_else(|| {
            Error::invalid_argument(format!("unrecognized syntax \"{name}\""))
                .with_hint(format!("Use one of: {}.", Self::ALL.map(Self::name).join(", ")))
        })
    }
}

/// A search text, parsed: `"a phrase"` must occur as it stands and, in the syntax of web search engines, `-word` and
/// `-"a phrase"` must not occur. Everything else may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The text without quotation marks and exclusions: what to embed, and whose lexemes to look
    /// for. Words of phrases are part of it.
    pub text: String,
    /// Phrases that must occur, in order and adjacent.
    pub phrases: Vec<String>,
    /// Words and phrases that must not occur.
    pub excluded: Vec<String>,
}

/// A part of a search text.
#[derive(Clone, Copy)]
enum Part<'a> {
    Plain(&'a str),
    Phrase(&'a str),
    Excluded(&'a str),
}

impl Query {
    /// Takes `input` apart. Any text is fine: quotation marks without a partner, hyphens inside
    /// words, negative numbers and options such as `--verbose` are plain text. A text that only
    /// excludes is plain text too, since it names nothing to find.
    pub fn parse(input: &str, syntax: Syntax) -> Self {
        let input = &input[..input.floor_char_boundary(MAX_BYTES)];
        let mut query = Self::default();
        let mut rest = input;
        let mut at_start = true;
        while let Some(first) = rest.chars().next() {
            let (part, after) = if at_start { operator(rest, syntax) } else { None }
                .unwrap_or((Part::Plain(&rest[..first.len_utf8()]), &rest[first.len_utf8()..]));
            at_start = first.is_whitespace() || first == '(';
            query.add(part);
            rest = after;
        }
        query.text = part_words(query.text.trim());
        if !has_word(&query.text) && !query.excluded.is_empty() {
            return Self { text: part_words(input.trim()), ..Self::default() };
        }
        query
    }

    fn add(&mut self, part: Part<'_>) {
        match part {
            Part::Phrase(phrase) if self.phrases.len() < MAX_PARTS => {
                self.phrases.push(part_words(phrase));
                self.text.push_str(phrase);
            }
            Part::Excluded(words) if self.excluded.len() < MAX_PARTS => {
                self.excluded.push(part_words(words));
            }
            Part::Plain(text) | Part::Phrase(text) | Part::Excluded(text) => {
                self.text.push_str(text);
            }
        }
    }
}

/// A phrase or exclusion at the start of `text`, which starts a word, and what follows it.
fn operator(text: &str, syntax: Syntax) -> Option<(Part<'_>, &str)> {
    if let Some((phrase, after)) = quoted(text) {
        return Some((Part::Phrase(phrase), after));
    }
    let negated = text.strip_prefix('-').filter(|_| syntax == Syntax::Web)?;
    if let Some((phrase, after)) = quoted(negated) {
        return Some((Part::Excluded(phrase), after));
    }
    let end = negated.find(char::is_whitespace).unwrap_or(negated.len());
    let word = negated[..end].trim_end_matches(|c: char| !c.is_alphanumeric());
    // Options of one letter and negative numbers are things to search for.
    let is_word = word.starts_with(char::is_alphabetic) && word.chars().nth(1).is_some();
    is_word.then(|| (Part::Excluded(word), &negated[word.len()..]))
}

/// A quoted phrase at the start of `text`, without its marks, and what follows. The closing mark
/// stands before no letter or digit, so that inches and apostrophes do not close anything.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let open = text.chars().next()?;
    let is_close: fn(char) -> bool = match open {
        '"' => |c| c == '"',
        '“' | '„' => |c| matches!(c, '”' | '“'),
        '«' => |c| c == '»',
        _ => return None,
    };
    let inner = &text[open.len_utf8()..];
    let close = |(at, mark): &(usize, char)| {
        let after = &inner[at + mark.len_utf8()..];
        is_close(*mark) && !after.starts_with(char::is_alphanumeric)
    };
    let (end, mark) = inner.char_indices().find(close)?;
    has_word(&inner[..end]).then(|| (&inner[..end], &inner[end + mark.len_utf8()..]))
}

fn has_word(text: &str) -> bool {
    text.contains(char::is_alphanumeric)
}

/// `text` with a space inside every word that is longer than PostgreSQL takes.
fn part_words(text: &str) -> String {
    let mut parted = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let mut rest = word;
        while rest.len() > MAX_WORD_BYTES {
            let end = rest.floor_char_boundary(MAX_WORD_BYTES);
            parted.push_str(&rest[..end]);
            parted.push(' ');
            rest = &rest[end..];
        }
        parted.push_str(rest);
    }
    parted
}

/// A `tsquery` in its text form that matches any of `lexemes`, which are used as they are. `None`
/// when there is none: PostgreSQL raises a NOTICE for an empty `tsquery`.
pub fn any_of<S: AsRef<str>>(lexemes: impl IntoIterator<Item = S>) -> Option<String> {
    let lexemes = lexemes.into_iter().filter(|lexeme| !lexeme.as_ref().is_empty());
    let lexemes: Vec<String> = lexemes.map(|lexeme| operand(lexeme.as_ref())).collect();
    (!lexemes.is_empty()).then(|| lexemes.join(" | "))
}

/// A lexeme as the text form of a `tsquery` takes it.
pub(super) fn operand(lexeme: &str) -> String {
    format!("'{}'", lexeme.replace('\\', "\\\\").replace('\'', "''"))
}
