//! The model's own tokenizer, counted and cut by byte offsets.
use crate::{Error, Result};

/// A tokenizer without padding, truncation or threads.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special_tokens: usize,
}

/// Tokens of a text without special tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Vocabulary ids.
    pub ids: Vec<u32>,
    /// Byte range of each token in the text.
    pub offsets: Vec<(u32, u32)>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`. Padding and truncation are removed: padding would start a thread
    /// pool, which a postmaster must not have.
    pub fn from_bytes(json: &[u8]) -> Result<Self> {
        tokenizers::utils::parallelism::set_parallelism(false);
        let damaged = |e: Box<dyn std::error::Error + Send + Sync>| {
            Error::configuration("could not read the tokenizer").with_detail(e.to_string())
        };
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(damaged)?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(damaged)?;
        let special_tokens = inner.encode("", true).map_err(damaged)?.len();
        Ok(Self { inner, special_tokens })
    }

    /// How many special tokens a single text gets (`[CLS]` and `[SEP]` make 2).
    pub fn special_tokens(&self) -> usize {
        self.special_tokens
    }

    /// Tokenises `text` without special tokens.
    pub fn tokens(&self, text: &str) -> Result<Tokens> {
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|e| Error::model("could not tokenise the text").with_detail(e.to_string()))?;
        Ok(Tokens {
            ids: encoding.get_ids().to_vec(),
            offsets: encoding.get_offsets().iter().map(|&(a, b)| (a as u32, b as u32)).collect(),
        })
    }

    /// Number of tokens of `text` without special tokens.
    pub fn count(&self, text: &str) -> Result<usize> {
        Ok(self.tokens(text)?.ids.len())
    }
}
