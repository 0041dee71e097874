//! An exact, streaming stand-in for the `tokenizers` crate on BERT's tokenizers.
//!
//! `BertNormalizer` and `BertPreTokenizer` look at one character at a time, so what they do to a
//! character is learnt from the crate itself, once a character, and then looked up. The one thing
//! that depends on neighbours is Unicode's reordering of combining marks: runs of marks that take
//! part in it go through the crate's normalizer.
use super::wordpiece::{Piece, WordPiece};
use std::sync::OnceLock;
use tokenizers::normalizer::Range;
use tokenizers::{
    ModelWrapper, NormalizedString, Normalizer, NormalizerWrapper, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, PreTokenizerWrapper, Tokenizer,
};

/// Characters a block of the table of properties covers.
const BLOCK_CHARS: usize = 256;
/// Longest run of reordered marks that is normalised in one piece. Text in Unicode's stream-safe
/// format has at most 30 in a row.
const MAX_RUN: usize = 4096;
/// Marks that survive normalisation, with combining classes 9, 9, 224 and 216: a character that
/// changes places with one of them takes part in reordering.
const REORDERED_MARKS: [char; 4] = ['\u{1B44}', '\u{1BAA}', '\u{302E}', '\u{1D165}'];

/// Receives words as they are found.
pub(super) trait TokenSink {
    /// A word with its pieces. `origin` maps piece ends to the text.
    fn word(&mut self, pieces: &[Piece], origin: &Origin);
    /// A special token spelt out in the text.
    fn special(&mut self, id: u32, start: usize, end: usize);
}

/// Where the bytes of a normalised word came from.
#[derive(Default)]
pub(super) struct Origin {
    start: usize,
    end: usize,
    /// Per normalised byte the range of its character in the text; empty when byte `i` simply is
    /// byte `start + i`.
    bytes: Vec<(u32, u32)>,
}

impl Origin {
    /// Range of the whole word in the text.
    pub fn word(&self) -> (usize, usize) {
        (self.start, self.end)
    }

    /// Range in the text of the normalised bytes `start..end`.
    pub fn range(&self, start: usize, end: usize) -> (usize, usize) {
        if self.bytes.is_empty() {
            return (self.start + start, self.start + end);
        }
        // The end of an overlong word is not kept byte by byte.
        let last = self.bytes.get(end - 1).map_or(self.end, |b| b.1 as usize);
        (self.bytes[start].0 as usize, last)
    }
}

/// The result of normalisation and pre-tokenisation for one character.
#[derive(Clone, Copy)]
struct Character {
    class: Class,
    length: u8,
    /// UTF-8 of the normalised character; the longest known has 9 bytes.
    normalized: [u8; 14],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Part of a word.
    InWord,
    /// Ends a word.
    Space,
    /// A word of its own: punctuation, ideographs.
    Alone,
    /// Vanishes; the word goes on.
    Removed,
    /// Depends on its neighbours, or is more than one of the above.
    Run,
}

impl Character {
    const fn of(class: Class) -> Self {
        Self { class, length: 0, normalized: [0; 14] }
    }

    fn with(class: Class, text: &str) -> Self {
        let mut character = Self::of(class);
        match character.normalized.get_mut(..text.len()) {
            Some(bytes) => bytes.copy_from_slice(text.as_bytes()),
            None => return Self::of(Class::Run),
        }
        character.length = text.len() as u8;
        character
    }

    fn normalized(&self) -> &[u8] {
        &self.normalized[..usize::from(self.length)]
    }
}

/// A tokenizer of BERT's kind.
pub(super) struct Bert {
    words: WordPiece,
    normalizer: NormalizerWrapper,
    pre_tokenizer: PreTokenizerWrapper,
    ascii: [Character; 128],
    /// Blocks of `BLOCK_CHARS` characters, learnt when first met.
    blocks: Box<[OnceLock<Box<[Character]>>]>,
    /// The same of what normalised characters are between letters: how many words those make with them.
    between: Box<[OnceLock<Box<[u8]>>]>,
    /// Special tokens, the longest first, and which bytes they start with.
    specials: Vec<(String, u32)>,
    special_starts: [bool; 256],
}

impl Bert {
    /// `None` when the tokenizer is of another kind, or its added tokens do more than match
    /// verbatim.
    pub fn new(tokenizer: &Tokenizer) -> Option<Self> {
        let ModelWrapper::WordPiece(model) = tokenizer.get_model() else { return None };
        let normalizer = tokenizer.get_normalizer()?;
        let pre_tokenizer = tokenizer.get_pre_tokenizer()?;
        if !matches!(normalizer, NormalizerWrapper::BertNormalizer(_))
            || !matches!(pre_tokenizer, PreTokenizerWrapper::BertPreTokenizer(_))
        {
            return None;
        }
        let words = WordPiece::new(
            &tokenizer.get_vocab(false),
            &model.unk_token,
            &model.continuing_subword_prefix,
            model.max_input_chars_per_word,
        )?;
        let specials = specials(tokenizer)?;
        let mut special_starts = [false; 256];
        for (token, _) in &specials {
            special_starts[usize::from(token.as_bytes()[0])] = true;
        }
        let mut bert = Self {
            words,
            normalizer: normalizer.clone(),
            pre_tokenizer: pre_tokenizer.clone(),
            ascii: [Character::of(Class::Run); 128],
            blocks: std::iter::repeat_with(OnceLock::new).take(0x11_0000 / BLOCK_CHARS).collect(),
            between: std::iter::repeat_with(OnceLock::new).take(0x11_0000 / BLOCK_CHARS).collect(),
            specials,
            special_starts,
        };
        let ascii: Vec<char> = (0..128_u8).map(char::from).collect();
        let learnt = bert.learn(&ascii);
        bert.ascii.copy_from_slice(&learnt);
        Some(bert)
    }

    fn character(&self, c: char) -> &Character {
        let code = c as usize;
        let block = self.blocks[code / BLOCK_CHARS].get_or_init(|| {
            let first = (code - code % BLOCK_CHARS) as u32;
            let chars: Vec<char> = (first..first + BLOCK_CHARS as u32)
                .map(|c| char::from_u32(c).unwrap_or(' '))
                .collect();
            self.learn(&chars)
        });
        &block[code % BLOCK_CHARS]
    }

    /// Words that two letters and a normalised character between them make.
    fn words_around(&self, c: char) -> u8 {
        let code = c as usize;
        let block = self.between[code / BLOCK_CHARS].get_or_init(|| {
            let first = (code - code % BLOCK_CHARS) as u32;
            let chars =
                (first..first + BLOCK_CHARS as u32).map(|c| char::from_u32(c).unwrap_or(' '));
            chars.map(|c| self.split(&format!("a{c}a")).len() as u8).collect()
        });
        block[code % BLOCK_CHARS]
    }

    /// Asks the crate what becomes of `chars`, each by itself.
    fn learn(&self, chars: &[char]) -> Box<[Character]> {
        let alone: Vec<String> = chars.iter().map(char::to_string).collect();
        let texts = self.normalize_each(&alone);
        let mut reorders = vec![false; chars.len()];
        for mark in REORDERED_MARKS {
            let normalized = self.normalize(&mark.to_string());
            let after: Vec<String> = chars.iter().map(|c| format!("{c}{mark}")).collect();
            let before: Vec<String> = chars.iter().map(|c| format!("{mark}{c}")).collect();
            let pairs = self.normalize_each(&after).into_iter().zip(self.normalize_each(&before));
            for (i, (after, before)) in pairs.enumerate() {
                let text = &texts[i];
                reorders[i] |= after != format!("{text}{normalized}");
                reorders[i] |= before != format!("{normalized}{text}");
            }
        }
        texts.iter().zip(reorders).map(|(text, reorders)| self.classify(text, reorders)).collect()
    }

    fn classify(&self, text: &str, reorders: bool) -> Character {
        if reorders {
            return Character::of(Class::Run);
        }
        if text.is_empty() {
            return Character::of(Class::Removed);
        }
        let probe = format!("a{text}a");
        let words = self.split(&probe);
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [whole] if whole == probe => Character::with(Class::InWord, text),
            ["a", "a"] => Character::of(Class::Space),
            ["a", alone, "a"] => Character::with(Class::Alone, alone),
            _ => Character::of(Class::Run),
        }
    }

    /// Normalises `texts` in one call: a call costs more than a character. A letter keeps them
    /// apart; should it turn up in one of them, they are normalised one by one.
    fn normalize_each(&self, texts: &[String]) -> Vec<String> {
        let joined = self.normalize(&format!("q{}q", texts.join("q")));
        let parts: Vec<String> = joined.split('q').map(str::to_owned).collect();
        if parts.len() == texts.len() + 2 {
            return parts[1..=texts.len()].to_vec();
        }
        texts.iter().map(|text| self.normalize(text)).collect()
    }

    fn normalize(&self, text: &str) -> String {
        self.normalized(text).map_or_else(String::new, |n| n.get().to_owned())
    }

    fn normalized(&self, text: &str) -> Option<NormalizedString> {
        let mut normalized = NormalizedString::from(text);
        self.normalizer.normalize(&mut normalized).ok()?;
        Some(normalized)
    }

    /// Splits normalised text into words.
    fn split(&self, normalized: &str) -> Vec<String> {
        let mut words = PreTokenizedString::from(normalized);
        if self.pre_tokenizer.pre_tokenize(&mut words).is_err() {
            return Vec::new();
        }
        let splits = words.get_splits(OffsetReferential::Original, OffsetType::None);
        splits.iter().map(|split| split.0.to_owned()).collect()
    }

    /// The special token that `text` starts with.
    fn special(&self, text: &str) -> Option<&(String, u32)> {
        self.specials.iter().find(|(token, _)| text.starts_with(token.as_str()))
    }

    /// Sends the words of `text` to `sink`.
    pub fn scan(&self, text: &str, sink: &mut impl TokenSink) {
        Scanner { bert: self, text, at: 0, word: WordBuffer::default(), pieces: Vec::new(), sink }
            .run();
    }
}

/// The added tokens, the longest first; `None` when one does more than match verbatim.
fn specials(tokenizer: &Tokenizer) -> Option<Vec<(String, u32)>> {
    let mut specials = Vec::new();
    for (id, token) in tokenizer.get_added_tokens_decoder() {
        let verbatim = !(token.single_word || token.lstrip || token.rstrip || token.normalized);
        if !verbatim || token.content.contains(char::is_whitespace) {
            return None;
        }
        specials.push((token.content, id));
    }
    specials.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
    Some(specials)
}

/// The word being read, normalised.
#[derive(Default)]
struct WordBuffer {
    bytes: Vec<u8>,
    chars: usize,
    length: usize,
    origin: Origin,
}

impl WordBuffer {
    /// Adds normalised bytes that stand for `start..end` of the text.
    #[inline]
    fn push(&mut self, normalized: &[u8], start: usize, end: usize, max_chars: usize) {
        if self.length == 0 {
            self.origin.start = start;
        }
        let verbatim = normalized.len() == end - start
            && start == self.origin.start + self.length
            && self.origin.bytes.is_empty()
            && normalized.len() == 1;
        if !verbatim && self.origin.bytes.is_empty() {
            let first = self.origin.start as u32;
            self.origin
                .bytes
                .extend((0..self.bytes.len() as u32).map(|i| (first + i, first + i + 1)));
        }
        self.origin.end = end;
        self.length += normalized.len();
        self.chars += normalized.iter().filter(|b| **b & 0xC0 != 0x80).count();
        // Characters beyond the limit make the word unknown, so they are not kept.
        if self.chars <= max_chars {
            self.bytes.extend_from_slice(normalized);
            if !verbatim {
                let range = (start as u32, end as u32);
                self.origin.bytes.extend(std::iter::repeat_n(range, normalized.len()));
            }
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.origin.bytes.clear();
        self.chars = 0;
        self.length = 0;
    }
}

struct Scanner<'a, S> {
    bert: &'a Bert,
    text: &'a str,
    at: usize,
    word: WordBuffer,
    pieces: Vec<Piece>,
    sink: &'a mut S,
}

impl<S: TokenSink> Scanner<'_, S> {
    fn run(mut self) {
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            let byte = bytes[self.at];
            if self.bert.special_starts[usize::from(byte)] && self.take_special() {
                continue;
            }
            if byte < 128 {
                let character = self.bert.ascii[usize::from(byte)];
                self.take(&character, 1);
            } else {
                let c = self.text[self.at..].chars().next().unwrap_or_default();
                let character = *self.bert.character(c);
                self.take(&character, c.len_utf8());
            }
        }
        self.end_word();
    }

    #[inline]
    fn take(&mut self, character: &Character, length: usize) {
        let (start, end) = (self.at, self.at + length);
        let max_chars = self.bert.words.max_chars();
        match character.class {
            Class::InWord => self.word.push(character.normalized(), start, end, max_chars),
            Class::Space => self.end_word(),
            Class::Removed => {}
            Class::Alone => {
                self.end_word();
                self.word.push(character.normalized(), start, end, max_chars);
                self.end_word();
            }
            Class::Run => return self.take_run(),
        }
        self.at = end;
    }

    #[inline]
    fn end_word(&mut self) {
        if self.word.length == 0 {
            return;
        }
        let word = &self.word;
        self.bert.words.split(&word.bytes, word.chars, word.length, &mut self.pieces);
        self.sink.word(&self.pieces, &word.origin);
        self.word.clear();
    }

    fn take_special(&mut self) -> bool {
        let Some((token, id)) = self.bert.special(&self.text[self.at..]) else { return false };
        self.end_word();
        self.sink.special(*id, self.at, self.at + token.len());
        self.at += token.len();
        true
    }

    /// Takes characters whose order normalisation may change, all at once.
    fn take_run(&mut self) {
        let mut end = self.at;
        for c in self.text[self.at..].chars().take(MAX_RUN) {
            let special = self.bert.special_starts[usize::from(self.text.as_bytes()[end])]
                && self.bert.special(&self.text[end..]).is_some();
            let class = self.bert.character(c).class;
            if special || !matches!(class, Class::Run | Class::Removed) {
                break;
            }
            end += c.len_utf8();
        }
        let run = &self.text[self.at..end];
        if let Some(normalized) = self.bert.normalized(run) {
            for (i, c) in normalized.get().char_indices() {
                let range = Range::Normalized(i..i + c.len_utf8());
                let origin = normalized.convert_offsets(range).unwrap_or(0..run.len());
                self.take_normalized(c, self.at + origin.start, self.at + origin.end);
            }
        }
        self.at = end;
    }

    fn take_normalized(&mut self, c: char, start: usize, end: usize) {
        let mut bytes = [0; 4];
        let text = c.encode_utf8(&mut bytes).as_bytes();
        let max_chars = self.bert.words.max_chars();
        match self.bert.words_around(c) {
            1 => self.word.push(text, start, end, max_chars),
            2 => self.end_word(),
            _ => {
                self.end_word();
                self.word.push(text, start, end, max_chars);
                self.end_word();
            }
        }
    }
}
