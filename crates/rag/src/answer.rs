//! Answers from passages: sentences quoted verbatim, or the admission that none fits.
//!
//! [`extract`] works on passages whose token bits are known, as a collection keeps them;
//! [`from_passages`] computes them for bare text first; [`generate`] has a model write, and keeps what
//! it can prove.
mod bare;
mod blocks;
mod build;
mod claims;
mod extract;
pub mod generate;
pub mod json;
mod lenient;
pub mod narrow;
mod prompt;
mod quotable;
pub(crate) mod repetition;
mod reply;
pub mod stream;
mod support;
mod words;
mod written;

pub use bare::from_passages;
pub use extract::extract;
pub use quotable::{Sentence, sentences};
pub use support::support_of;

use crate::rerank::TokenBits;
use std::ops::Range;

/// The least confidence that counts as an answer of the default model from [`FULL_THRESHOLD_PASSAGES`] or more.
///
/// Calibrated on `SQuAD`'s development set with all-MiniLM-L6-v2 (8-bit): see
/// `docs/reference/answer.md`.
pub const DEFAULT_THRESHOLD: f64 = 0.31;

/// Passages from which on [`Options::threshold`] counts in full. The best of many unrelated
/// passages is like the question by chance, the best of a few is not: the 97th percentile of
/// confidence is 0.29 over five of them, while the median is 0.35 over two thousand.
const FULL_THRESHOLD_PASSAGES: f64 = 2000.0;

/// How much the threshold falls for each power of ten below [`FULL_THRESHOLD_PASSAGES`].
const THRESHOLD_PER_DECADE: f64 = 0.03;

/// [`Answer::text`] when nothing fits.
pub const NO_ANSWER: &str = "The passages do not answer the question.";

/// A text that may answer, with what its embedding left behind.
#[derive(Debug, Clone)]
pub struct Passage<'a> {
    /// The text that citations quote and whose offsets they give.
    pub text: &'a str,
    /// The titles above it, the outermost first.
    pub heading: &'a str,
    /// Bytes of `text` that may be quoted: those that `bits` stand for.
    pub span: Range<usize>,
    /// Bits of the tokens of a heading path and then of the span.
    pub bits: TokenBits<'a>,
    /// How many of them belong to the heading path.
    pub heading_tokens: usize,
    /// Bytes of `text` that each token of the span covers, in order. More than there are bits when
    /// the end of the span did not fit the model's window; it is not quoted.
    pub tokens: Vec<Range<usize>>,
    /// How well the passage was ranked; only differences between passages matter.
    pub score: f64,
}

/// Options of an extractive answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Most sentences of an answer.
    pub max_sentences: usize,
    /// The least confidence that counts as an answer from 2,000 passages or more, from -1 to 1. It
    /// is 0.03 less for each power of ten that they are fewer.
    pub threshold: f64,
    /// How many passages those given were chosen from.
    pub searched: usize,
}

/// The threshold that lets everything pass.
const ANSWER_ALWAYS: f64 = -1.0;

impl Default for Options {
    fn default() -> Self {
        Self { max_sentences: 3, threshold: DEFAULT_THRESHOLD, searched: usize::MAX }
    }
}

impl Options {
    /// The same, but for the threshold: everything is an answer.
    #[must_use]
    pub fn always(self) -> Self {
        Self { threshold: ANSWER_ALWAYS, ..self }
    }

    /// Whether there are answers that do not count.
    pub fn may_refuse(&self) -> bool {
        self.threshold > ANSWER_ALWAYS
    }

    /// The least confidence that counts here.
    fn min_confidence(&self) -> f64 {
        let powers = (FULL_THRESHOLD_PASSAGES / self.searched.max(1) as f64).log10().max(0.0);
        self.threshold - THRESHOLD_PER_DECADE * powers
    }
}

/// Whether passages held an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// They did.
    Answered,
    /// They did not.
    NoAnswer,
    /// They did not, and there are more that cannot be found yet.
    NotReady,
}

impl Status {
    /// As SQL shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoAnswer => "no_answer",
            Self::NotReady => "not_ready",
        }
    }
}

/// Sentences with markers, and where each comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Whether there is an answer.
    pub status: Status,
    /// Verbatim sentences, each followed by its marker; or [`NO_ANSWER`].
    pub text: String,
    /// One per marker, in their order; empty when there is no answer.
    pub citations: Vec<Citation>,
    /// MaxSim of the question with the sentence most like it, in [-1, 1]: an absolute value, so
    /// that it can tell that even the best is not good enough.
    pub confidence: f32,
    /// The least confidence that counted.
    pub threshold: f64,
    /// Where nothing reached the threshold, what came nearest.
    pub refused: Option<Citation>,
    /// Whether the confidence says anything: the model knows the language.
    pub is_judged: bool,
}

/// A quoted sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Citation {
    /// The number in brackets after the quote, from 1.
    pub marker: usize,
    /// Position of the passage among those given.
    pub passage: usize,
    /// The sentence, verbatim.
    pub quote: String,
    /// What the answer says of it: the quote, or of a table's row its cells behind the names of their columns.
    pub shown: String,
    /// Where it stands in the passage's text, in bytes.
    pub bytes: Range<usize>,
    /// The same in characters.
    pub chars: Range<usize>,
    /// MaxSim of the question with the sentence, in [-1, 1].
    pub score: f32,
    /// Whether it is the sentence that was chosen first.
    pub is_best: bool,
}

impl Answer {
    /// The same for a collection of which not all can be found yet, which is `why`: what has no answer may have one then.
    #[must_use]
    pub fn or_not_ready(mut self, why: Option<&str>) -> Self {
        if let (Some(why), Status::NoAnswer) = (why, self.status) {
            (self.status, self.text) = (Status::NotReady, why.to_owned());
        }
        self
    }

    /// Says that `model` does not know the language, so that nothing tells whether this answers.
    #[must_use]
    pub fn unjudged(self, model: &str, options: &Options) -> Self {
        let none = Self::none(options);
        let refused = self.citations.into_iter().find(|citation| citation.is_best);
        let text = match refused {
            Some(_) => format!("The model \"{model}\" cannot judge answers in this language."),
            None => none.text.clone(),
        };
        Self { text, confidence: self.confidence, is_judged: refused.is_none(), refused, ..none }
    }

    /// Says that nothing fits, for want of anything that could be quoted.
    pub fn none(options: &Options) -> Self {
        Self {
            status: Status::NoAnswer,
            text: NO_ANSWER.to_owned(),
            citations: Vec::new(),
            confidence: -1.0,
            threshold: options.min_confidence(),
            refused: None,
            is_judged: true,
        }
    }
}
