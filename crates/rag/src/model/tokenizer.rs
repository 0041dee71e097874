//! The model's own tokenizer, counted and cut by byte offsets.
//!
//! Everything here gives what the `tokenizers` crate gives for the same `tokenizer.json`. BERT's
//! tokenizers have a faster path of their own (`bert`), others go through the crate.
mod bert;
mod template;
mod wordpiece;

pub use template::Input;

use crate::text::script::may_be_word;
use crate::{Error, Result};
use bert::{Bert, Origin, TokenSink};
use std::ops::Range;
use template::{Template, damaged};
use wordpiece::Piece;

/// A tokenizer without padding, truncation or threads.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bert: Option<Bert>,
    single: Template,
    pair: Option<Template>,
    pad_id: u32,
    unknown: Option<u32>,
}

/// Tokens of a text without special tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Vocabulary ids.
    pub ids: Vec<u32>,
    /// Byte range of each token in the text.
    pub offsets: Vec<(u32, u32)>,
}

/// A run of text that is tokenised without regard to what stands around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
    /// Tokens it makes.
    pub tokens: u32,
}

/// Counts tokens as a model does; what chunking needs to know of a model.
pub trait TokenCounter {
    /// Number of tokens of `text` without special tokens.
    fn count(&self, text: &str) -> Result<usize>;

    /// Whether counts add up: a text cut between two words has as many tokens as its parts.
    /// Otherwise `words` is an estimate, and `count` has the last word on every piece.
    fn is_additive(&self) -> bool;

    /// Appends the words of `text` in order, their offsets moved up by `base`. Long text is given
    /// in slices cut at spaces or line ends, which costs memory for a slice alone.
    fn words(&self, text: &str, base: usize, words: &mut Vec<Word>) -> Result<()>;
}

// Made for `map_err`, which gives its error away.
#[allow(clippy::needless_pass_by_value)]
fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::model("could not tokenise the text").with_detail(error.to_string())
}

/// Reads a `tokenizer.json`, padding and truncation included. Its syntax is checked first: the crate panics on a decoder
/// that is no JSON.
pub(super) fn parsed(json: &[u8]) -> tokenizers::Result<tokenizers::Tokenizer> {
    tokenizers::utils::parallelism::set_parallelism(false);
    serde_json::from_slice::<serde::de::IgnoredAny>(json)?;
    tokenizers::Tokenizer::from_bytes(json)
}

/// The id of padding as the file configures it, else by its usual names; some graphs derive
/// positions from it.
fn pad_id(tokenizer: &tokenizers::Tokenizer) -> u32 {
    let configured = tokenizer.get_padding().map(|padding| padding.pad_id);
    let named = || ["[PAD]", "<pad>"].iter().find_map(|name| tokenizer.token_to_id(name));
    configured.or_else(named).unwrap_or(0)
}

impl Tokenizer {
    /// Reads a `tokenizer.json`. Padding and truncation are removed: padding would start a thread
    /// pool, which a postmaster must not have.
    pub fn from_bytes(json: &[u8]) -> Result<Self> {
        let mut inner = parsed(json).map_err(damaged)?;
        let pad_id = pad_id(&inner);
        let unknown = ["[UNK]", "<unk>"].iter().find_map(|name| inner.token_to_id(name));
        inner.with_padding(None);
        inner.with_truncation(None).map_err(damaged)?;
        let single = Template::single(&inner)?;
        let pair = Template::pair(&inner);
        let bert = Bert::new(&inner);
        Ok(Self { inner, bert, single, pair, pad_id, unknown })
    }

    /// How many special tokens a single text gets (`[CLS]` and `[SEP]` make 2).
    pub fn special_tokens(&self) -> usize {
        self.single.special_tokens()
    }

    /// The id that fills up the shorter inputs of a batch.
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// Tokenises `text` without special tokens.
    pub fn tokens(&self, text: &str) -> Result<Tokens> {
        let mut tokens = Tokens::default();
        if let Some(bert) = &self.bert {
            bert.scan(text, &mut tokens);
            return Ok(tokens);
        }
        let encoding = self.inner.encode(text, false).map_err(failed)?;
        tokens.ids.extend_from_slice(encoding.get_ids());
        tokens.offsets.extend(encoding.get_offsets().iter().map(|&(a, b)| (a as u32, b as u32)));
        Ok(tokens)
    }

    /// Whether the model has words for a text: two thirds of its letters stand in tokens that it knows, of more than one letter. A language of
    /// which a vocabulary has no words is read letter by letter. A letter may be a word where no other is beside it, and a Chinese character or a
    /// Korean syllable unless it is read in parts.
    pub fn has_words_for(&self, text: &str) -> Result<bool> {
        let Tokens { ids, offsets } = self.tokens(text)?;
        let bytes: Vec<Range<usize>> =
            offsets.into_iter().map(|(start, end)| start as usize..end as usize).collect();
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
        let (mut all, mut known) = (0, 0);
        for (position, id) in ids.into_iter().enumerate() {
            let Range { start, end } = bytes[position];
            let letters = text[start..end].chars().filter(|c| c.is_alphabetic()).count();
            let is_alone = || {
                !is_letter(text[..start].chars().next_back())
                    && !is_letter(text[end..].chars().next())
            };
            let is_whole = || {
                let before = position.checked_sub(1).and_then(|before| bytes.get(before));
                let is_part = [before, bytes.get(position + 1)].contains(&Some(&bytes[position]));
                !is_part && text[start..end].chars().any(may_be_word)
            };
            let is_known = Some(id) != self.unknown && (letters > 1 || is_alone() || is_whole());
            all += letters;
            known += if is_known { letters } else { 0 };
        }
        Ok(3 * known >= 2 * all)
    }

    /// Number of tokens of `text` without special tokens.
    pub fn count(&self, text: &str) -> Result<usize> {
        if let Some(bert) = &self.bert {
            let mut count = CountSink(0);
            bert.scan(text, &mut count);
            return Ok(count.0);
        }
        Ok(self.inner.encode_fast(text, false).map_err(failed)?.len())
    }

    /// Tokens of `text` with special tokens, its end cut off so that the whole is at most
    /// `max_tokens` long.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Input> {
        let ids = self.tokens(text)?.ids;
        let room = max_tokens.saturating_sub(self.single.special_tokens());
        Ok(self.single.apply(&[], &ids[..ids.len().min(room)], ids.len()))
    }

    /// Tokens of two texts with special tokens, at most `max_tokens` long: only the second is cut,
    /// and a first text that leaves no room for it is an error.
    pub fn encode_pair(&self, first: &str, second: &str, max_tokens: usize) -> Result<Input> {
        let template = self
            .pair
            .as_ref()
            .ok_or_else(|| Error::unsupported("the tokenizer does not take pairs of texts"))?;
        let (first, second) = (self.tokens(first)?.ids, self.tokens(second)?.ids);
        let room = max_tokens.saturating_sub(template.special_tokens() + first.len());
        if room == 0 {
            return Err(Error::too_large(format!(
                "the query has {} tokens, which leaves no room for a document in the model's window of {max_tokens}",
                first.len(),
            ))
            .with_hint("Shorten the query."));
        }
        Ok(template.apply(&first, &second[..second.len().min(room)], second.len()))
    }
}

impl TokenCounter for Tokenizer {
    fn count(&self, text: &str) -> Result<usize> {
        self.count(text)
    }

    fn is_additive(&self) -> bool {
        self.bert.is_some()
    }

    fn words(&self, text: &str, base: usize, words: &mut Vec<Word>) -> Result<()> {
        if let Some(bert) = &self.bert {
            bert.scan(text, &mut WordSink { base, words });
            return Ok(());
        }
        let encoding = self.inner.encode(text, false).map_err(failed)?;
        let tokens = encoding.get_offsets().iter();
        words.extend(tokens.map(|(start, end)| Word {
            start: (base + start) as u32,
            end: (base + end) as u32,
            tokens: 1,
        }));
        Ok(())
    }
}

impl TokenSink for Tokens {
    fn word(&mut self, pieces: &[Piece], origin: &Origin) {
        let mut start = 0;
        for piece in pieces {
            let end = piece.end as usize;
            self.special(piece.id, origin.range(start, end).0, origin.range(start, end).1);
            start = end;
        }
    }

    fn special(&mut self, id: u32, start: usize, end: usize) {
        self.ids.push(id);
        self.offsets.push((start as u32, end as u32));
    }
}

struct CountSink(usize);

impl TokenSink for CountSink {
    fn word(&mut self, pieces: &[Piece], _: &Origin) {
        self.0 += pieces.len();
    }

    fn special(&mut self, _: u32, _: usize, _: usize) {
        self.0 += 1;
    }
}

struct WordSink<'a> {
    base: usize,
    words: &'a mut Vec<Word>,
}

impl WordSink<'_> {
    fn push(&mut self, (start, end): (usize, usize), tokens: usize) {
        let (start, end) = ((self.base + start) as u32, (self.base + end) as u32);
        self.words.push(Word { start, end, tokens: tokens as u32 });
    }
}

impl TokenSink for WordSink<'_> {
    fn word(&mut self, pieces: &[Piece], origin: &Origin) {
        self.push(origin.word(), pieces.len());
    }

    fn special(&mut self, _: u32, start: usize, end: usize) {
        self.push((start, end), 1);
    }
}
