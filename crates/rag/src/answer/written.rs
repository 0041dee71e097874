//! An answer of a model, and what became of all that it said.
use super::Status;
use crate::model::generator::Generated;
use std::ops::Range;

/// An answer that a model wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedAnswer {
    /// Whether there is an answer.
    pub status: Status,
    /// The claims that hold, each with markers; or [`super::NO_ANSWER`].
    pub text: String,
    /// One per marker, in their order.
    pub citations: Vec<VerifiedQuote>,
    /// All that the model said, in its order.
    pub claims: Vec<CheckedClaim>,
    /// Requests and tokens used.
    pub usage: Usage,
}

impl GeneratedAnswer {
    /// As [`super::Answer::or_not_ready`].
    #[must_use]
    pub fn or_not_ready(mut self, why: Option<&str>) -> Self {
        if let (Some(why), Status::NoAnswer) = (why, self.status) {
            (self.status, self.text) = (Status::NotReady, why.to_owned());
        }
        self
    }
}

/// A quote that stands in its passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedQuote {
    /// The number in brackets, from 1.
    pub marker: usize,
    /// Position of the passage among those given.
    pub passage: usize,
    /// The passage's text, unchanged; the model's quote may differ in typography and markup.
    pub quote: String,
    /// Where they stand in the passage, in characters.
    pub chars: Range<usize>,
}

/// What a claim rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifiedBy {
    /// It is a sentence of a passage.
    Verbatim,
    /// Its words, numbers and names are those of its quotes.
    Overlap,
    /// It did not follow from its quotes, which stand in its place.
    Quote,
}

impl VerifiedBy {
    /// As SQL shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verbatim => "verbatim",
            Self::Overlap => "overlap",
            Self::Quote => "quote",
        }
    }
}

/// A claim, and what became of it and its quotes.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedClaim {
    /// The claim in the model's words.
    pub text: String,
    /// What the answer says instead, where that is its quote.
    pub shown: Option<String>,
    /// Markers of its quotes that were found; without any it is no part of the answer.
    pub markers: Vec<usize>,
    /// Its quotes, or sentences of them, that were not found.
    pub dropped: Vec<String>,
    /// How much of it stands in its quotes, from 0 to 1.
    pub support: f64,
    /// What it rests on; without it is no part of the answer.
    pub verified_by: Option<VerifiedBy>,
    /// Why it does not hold by itself.
    pub refusal: Option<String>,
}

/// Requests and tokens that an answer took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests, a repair included.
    pub requests: u32,
    /// Passages that fit the model's context.
    pub passages: usize,
    /// Tokens read, as far as the provider counts them.
    pub input_tokens: Option<u64>,
    /// Tokens written, as far as the provider counts them.
    pub output_tokens: Option<u64>,
    /// Why the answer is made of sentences that were picked from the passages, if it is.
    pub fallback: Option<String>,
}

impl Usage {
    /// Adds the counts of a turn. Returns its text.
    pub(super) fn count_turn(&mut self, generated: Generated) -> String {
        let Generated { text, input_tokens, output_tokens, .. } = generated;
        self.requests += 1;
        let sum = |total: Option<u64>, more: Option<u64>| match (total, more) {
            (None, None) => None,
            (total, more) => Some(total.unwrap_or(0).saturating_add(more.unwrap_or(0))),
        };
        self.input_tokens = sum(self.input_tokens, input_tokens);
        self.output_tokens = sum(self.output_tokens, output_tokens);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Usage;
    use crate::model::generator::Generated;

    #[test]
    fn absurd_counts_of_a_provider_do_not_overflow() {
        let mut usage = Usage::default();
        for _ in 0..2 {
            let turn = Generated { output_tokens: Some(u64::MAX), ..Generated::default() };
            usage.count_turn(turn);
        }
        assert_eq!(usage.output_tokens, Some(u64::MAX));
    }
}
