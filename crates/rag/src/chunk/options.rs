//! Options of chunking, checked.
use crate::{Error, Result};
use std::str::FromStr;

/// How a text is marked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Found by looking at the text.
    #[default]
    Auto,
    /// Paragraphs between blank lines.
    Plain,
    /// `CommonMark` with tables, footnotes and front matter.
    Markdown,
    /// HTML, whose text is extracted first.
    Html,
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "plain" => Ok(Self::Plain),
            "markdown" => Ok(Self::Markdown),
            "html" => Ok(Self::Html),
            _ => Err(Error::invalid_argument(format!("unknown format \"{name}\""))
                .with_hint("Use \"auto\", \"plain\", \"markdown\" or \"html\".")),
        }
    }
}

/// How to divide a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Most tokens of a chunk, special tokens not counted.
    pub max_tokens: usize,
    /// Most tokens that a chunk repeats from the one before.
    pub overlap_tokens: usize,
    /// How the text is marked up.
    pub format: Format,
    /// Most tokens of the heading path that a chunk is embedded with; 0 leaves headings out.
    pub heading_tokens: usize,
    /// Most tokens of a chunk and its heading path together: a chunk below a long path is shorter than
    /// `max_tokens` where they would not fit otherwise.
    pub window: usize,
}

impl Options {
    /// Fills in the defaults and checks the bounds. `window` is the most tokens of a text that the
    /// model takes, special tokens not counted: it is the default of `max_tokens` and its upper
    /// bound. `overlap_tokens` defaults to a fifth of `max_tokens` or 50, whichever is less.
    pub fn new(
        max_tokens: Option<i32>,
        overlap_tokens: Option<i32>,
        format: Format,
        window: usize,
    ) -> Result<Self> {
        let max_tokens = match max_tokens {
            None => window,
            Some(given) => usize::try_from(given)
                .ok()
                .filter(|max| (1..=window).contains(max))
                .ok_or_else(|| out_of_bounds(given, window))?,
        };
        let overlap_tokens = match overlap_tokens {
            None => default_overlap(max_tokens),
            Some(given) => usize::try_from(given)
                .ok()
                .filter(|overlap| *overlap < max_tokens)
                .ok_or_else(|| too_much_overlap(given, max_tokens))?,
        };
        Ok(Self { max_tokens, overlap_tokens, format, heading_tokens: 0, window })
    }
}

/// The overlap where none is asked for: a fifth of `max_tokens` or 50, whichever is less.
pub fn default_overlap(max_tokens: usize) -> usize {
    (max_tokens / 5).min(50)
}

fn out_of_bounds(given: i32, window: usize) -> Error {
    Error::invalid_argument(format!("max_tokens {given} is out of bounds"))
        .with_hint(format!("The model takes texts of 1 to {window} tokens."))
}

fn too_much_overlap(given: i32, max_tokens: usize) -> Error {
    Error::invalid_argument(format!("overlap_tokens {given} is out of bounds")).with_hint(format!(
        "It must be at least 0 and less than max_tokens, which is {max_tokens}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_come_from_the_window() {
        let options = Options::new(None, None, Format::Auto, 254).unwrap();
        assert_eq!((options.max_tokens, options.overlap_tokens), (254, 50));
        let options = Options::new(Some(100), None, Format::Auto, 254).unwrap();
        assert_eq!((options.max_tokens, options.overlap_tokens), (100, 20));
        assert_eq!(Options::new(Some(1), None, Format::Auto, 254).unwrap().overlap_tokens, 0);
    }

    #[test]
    fn bounds_are_checked_with_hints() {
        let both = [(Some(0), None), (Some(-1), None), (Some(255), None)];
        let overlaps = [(Some(10), Some(10)), (Some(10), Some(-1)), (None, Some(254))];
        for (max_tokens, overlap_tokens) in both.into_iter().chain(overlaps) {
            let error = Options::new(max_tokens, overlap_tokens, Format::Auto, 254).unwrap_err();
            assert_eq!(error.sqlstate(), "22023");
            assert!(error.hint().is_some());
        }
        assert_eq!("HTML".parse::<Format>().unwrap_err().sqlstate(), "22023");
    }
}
