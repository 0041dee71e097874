//! The special tokens a tokenizer puts around a text or a pair of texts.
use crate::{Error, Result};
use std::ops::Range;
use tokenizers::{Encoding, Token, Tokenizer};

/// Tokens in the form a model takes them, special tokens included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Vocabulary ids.
    pub ids: Vec<u32>,
    /// Which text of a pair each token belongs to.
    pub type_ids: Vec<u32>,
    /// Positions in `ids` of the text's own tokens; in a pair, of the second text's.
    pub text: Range<usize>,
    /// Tokens that text has, before any were cut off.
    pub token_count: usize,
}

impl Input {
    /// Whether the end of the text did not fit.
    pub fn is_truncated(&self) -> bool {
        self.text.len() < self.token_count
    }
}

/// Stand for the two texts while the template is read off; no vocabulary has that many entries.
const FIRST_TEXT: u32 = u32::MAX - 1;
const SECOND_TEXT: u32 = u32::MAX;

/// `before`, the first text, `between`, the second text, `after`, each token with its type id. A
/// template of one text has nothing before `between`: its text is the second.
pub(super) struct Template {
    before: Vec<(u32, u32)>,
    first_type: u32,
    between: Vec<(u32, u32)>,
    second_type: u32,
    after: Vec<(u32, u32)>,
}

impl Template {
    /// Reads off what `tokenizer` does with one text.
    pub fn single(tokenizer: &Tokenizer) -> Result<Self> {
        let processed = tokenizer.post_process(text(SECOND_TEXT), None, true).map_err(damaged)?;
        Self::read(&processed, false).ok_or_else(|| {
            Error::configuration("the tokenizer does not keep the text as one piece")
        })
    }

    /// Reads off what `tokenizer` does with two; `None` when it does not take pairs.
    pub fn pair(tokenizer: &Tokenizer) -> Option<Self> {
        let processed =
            tokenizer.post_process(text(FIRST_TEXT), Some(text(SECOND_TEXT)), true).ok()?;
        Self::read(&processed, true)
    }

    fn read(processed: &Encoding, pair: bool) -> Option<Self> {
        let tokens: Vec<(u32, u32)> = processed
            .get_ids()
            .iter()
            .copied()
            .zip(processed.get_type_ids().iter().copied())
            .collect();
        let only = |id| {
            let mut at = (0..tokens.len()).filter(|&i| tokens[i].0 == id);
            at.next().filter(|_| at.next().is_none())
        };
        let second = only(SECOND_TEXT)?;
        let (before, first_type, between) = if pair {
            let first = only(FIRST_TEXT).filter(|first| *first < second)?;
            (tokens[..first].to_vec(), tokens[first].1, tokens[first + 1..second].to_vec())
        } else {
            (Vec::new(), 0, tokens[..second].to_vec())
        };
        let (second_type, after) = (tokens[second].1, tokens[second + 1..].to_vec());
        Some(Self { before, first_type, between, second_type, after })
    }

    pub fn special_tokens(&self) -> usize {
        self.before.len() + self.between.len() + self.after.len()
    }

    /// Puts the special tokens around the texts; `token_count` is what the second had uncut.
    pub fn apply(&self, first: &[u32], second: &[u32], token_count: usize) -> Input {
        let start = self.before.len() + first.len() + self.between.len();
        let all = || {
            let first = first.iter().map(|&id| (id, self.first_type));
            let second = second.iter().map(|&id| (id, self.second_type));
            let (before, between) = (self.before.iter().copied(), self.between.iter().copied());
            before.chain(first).chain(between).chain(second).chain(self.after.iter().copied())
        };
        Input {
            ids: all().map(|token| token.0).collect(),
            type_ids: all().map(|token| token.1).collect(),
            text: start..start + second.len(),
            token_count,
        }
    }
}

fn text(id: u32) -> Encoding {
    Encoding::from_tokens(vec![Token::new(id, String::new(), (0, 0))], 0)
}

// Made for `map_err`, which gives its error away.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn damaged(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::configuration("could not read the tokenizer").with_detail(error.to_string())
}
