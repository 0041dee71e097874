//! The engines of the lexical leg, and the text that another extension's index gets: lexemes as words that
//! every tokenizer leaves alone, so that all engines index and look for the very same ones.
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Bytes of a lexeme from which on its hash stands for it: engines pass over long words.
const LONG: usize = 100;

/// The index that finds the chunks of the lexical leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A GIN index over lexemes, and BM25 as this package counts it.
    Builtin,
    /// The extension `pg_textsearch`.
    PgTextsearch,
    /// The extension `pg_search`.
    PgSearch,
}

impl Engine {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Builtin, Self::PgTextsearch, Self::PgSearch];

    /// The word for it; that of an extension is the extension's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::PgTextsearch => "pg_textsearch",
            Self::PgSearch => "pg_search",
        }
    }

    /// The engine of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.name() == name)
    }

    /// Whether it is another extension's.
    pub fn is_foreign(self) -> bool {
        self != Self::Builtin
    }

    /// The first version of the extension that is known to do, as numbers between points.
    pub fn least_version(self) -> &'static [u32] {
        match self {
            Self::Builtin => &[],
            Self::PgTextsearch => &[0, 6],
            Self::PgSearch => &[0, 21],
        }
    }

    /// Whether `version` of the extension will do.
    pub fn accepts(self, version: &str) -> bool {
        let number = |part: &str| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..digits].parse::<u32>().unwrap_or(0)
        };
        version.split('.').map(number).collect::<Vec<_>>().as_slice() >= self.least_version()
    }
}

/// A lexeme as a word of ASCII letters and digits that stands for no other lexeme.
fn word(lexeme: &[u8]) -> Cow<'_, str> {
    let is_plain = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_lowercase);
    if let Ok(plain) = str::from_utf8(lexeme)
        && lexeme.len() <= LONG
        && is_plain(lexeme)
    {
        return Cow::Borrowed(plain);
    }
    // The digit tells them from plain ones, and the letter before it from numbers.
    let (prefix, bytes) = if lexeme.len() <= LONG {
        ("x0", Cow::Borrowed(lexeme))
    } else {
        ("x1", Cow::Owned(Sha256::digest(lexeme).to_vec()))
    };
    let mut word = String::with_capacity(2 + 2 * bytes.len());
    word.push_str(prefix);
    for byte in &*bytes {
        let _ = write!(word, "{byte:02x}");
    }
    Cow::Owned(word)
}

/// A text for another extension's index: each lexeme as a word as often as it occurs.
pub fn words<'a>(lexemes: impl Iterator<Item = (&'a [u8], usize)>) -> String {
    let mut text = String::new();
    for (lexeme, occurrences) in lexemes {
        let word = word(lexeme);
        for _ in 0..occurrences {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&word);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lexical_engines_have_names_and_minimum_versions() {
        for engine in Engine::ALL {
            assert_eq!(Engine::named(engine.name()), Some(engine));
        }
        assert_eq!(Engine::named("PG_SEARCH"), None);
        let textsearch = |version| Engine::PgTextsearch.accepts(version);
        assert!(textsearch("0.6.1") && textsearch("0.6") && textsearch("1.0.0-dev"));
        assert!(!textsearch("0.5.9") && !textsearch("0") && !textsearch("") && !textsearch("x"));
        assert!(Engine::PgSearch.accepts("0.21.14") && !Engine::PgSearch.accepts("0.20.10"));
    }

    #[test]
    fn plain_lexemes_stay_and_others_are_spelled_out() {
        let text = words([(&b"cat"[..], 2), (b"x0", 1), ("λ".as_bytes(), 1)].into_iter());
        assert_eq!(text, "cat cat x07830 x0cebb");
        assert_eq!(word(&[b'a'; 2_000]).len(), 66);
        assert_ne!(word(&[b'a'; 2_000]), word(&[b'a'; 2_001]));
    }

    proptest! {
        #[test]
        fn every_lexeme_is_one_word_of_its_own(a in "\\PC{1,20}|[a-z0-9]{1,8}", b in "\\PC{1,20}|[a-z0-9]{1,8}") {
            let (one, other) = (word(a.as_bytes()), word(b.as_bytes()));
            prop_assert!(one.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
            prop_assert!(one.starts_with(|c: char| c.is_ascii_lowercase()) && one.len() <= 202);
            prop_assert_eq!(a == b, one == other);
        }
    }
}
