//! Answers that a generator writes, of which only what can be checked is kept.
//!
//! The model must give a verbatim quote for all it says. Each quote is looked up in its passage; a claim
//! none of whose quotes is there is dropped, and when nothing is left there is no answer. So
//! whatever a passage talks the model into, what is cited as found was found.
use super::claims::{self, Claim};
use super::prompt::{self, Prompt};
use super::verify::find_quote;
use super::{NO_ANSWER, Status};
use crate::model::Checkpoint;
use crate::model::generator::{Conversation, Generated, Generator, Turn};
use crate::{Error, Result};
use std::fmt::Write as _;
use std::ops::Range;

/// An answer that a model wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedAnswer {
    /// Whether there is an answer.
    pub status: Status,
    /// The claims that hold, each with markers; or [`NO_ANSWER`].
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
    /// The passage's text, unchanged; the model's quote may differ in white space and case.
    pub quote: String,
    /// Where they stand in the passage, in characters.
    pub chars: Range<usize>,
}

/// A claim, and what became of its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedClaim {
    /// The claim in the model's words.
    pub text: String,
    /// Markers of its quotes that were found; without any it is no part of the answer.
    pub markers: Vec<usize>,
    /// Its quotes that were not found.
    pub dropped: Vec<String>,
}

/// Requests and tokens that an answer took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests, a reminder included.
    pub requests: u32,
    /// Passages that fit the model's context.
    pub passages: usize,
    /// Tokens read, as far as the provider counts them.
    pub input_tokens: Option<u64>,
    /// Tokens written, as far as the provider counts them.
    pub output_tokens: Option<u64>,
}

/// Has `generator` answer `question` from `passages`, the best first. `instructions` are added to the
/// rules. Without any text in the passages there is no answer, and no call.
///
/// An error when the context has no room for the question, and when the model does not keep to the
/// form of an answer even after it was reminded.
pub fn generate(
    generator: &dyn Generator,
    question: &str,
    passages: &[&str],
    instructions: Option<&str>,
    checkpoint: Checkpoint<'_>,
) -> Result<GeneratedAnswer> {
    if passages.iter().all(|passage| passage.trim().is_empty()) {
        return Ok(verify_claims(Vec::new(), passages, Usage::default()));
    }
    let Prompt { system, user, included } =
        prompt::build(generator, question, passages, instructions, &prompt::nonce()?)?;
    let mut usage = Usage { passages: included.len(), ..Usage::default() };
    let user = Turn { is_model: false, text: user };
    let mut conversation = Conversation { system, turns: vec![user] };
    let reply = ask_model(generator, &conversation, &mut usage, checkpoint)?;
    let claims = match claims::read(&reply) {
        Ok(claims) => claims,
        Err(why) => {
            let reminder = prompt::reminder(&why);
            conversation.turns.push(Turn { is_model: true, text: reply });
            conversation.turns.push(Turn { is_model: false, text: reminder });
            let reply = ask_model(generator, &conversation, &mut usage, checkpoint)?;
            claims::read(&reply).map_err(malformed_answer)?
        }
    };
    Ok(verify_claims(with_positions(claims, &included), passages, usage))
}

/// Positions of the passages that fit the context of `generator` beside the rest of the prompt; errors as those of [`generate`].
pub fn passages_that_fit(
    generator: &dyn Generator,
    question: &str,
    passages: &[&str],
    instructions: Option<&str>,
) -> Result<Vec<usize>> {
    let key = "0".repeat(prompt::NONCE_LENGTH);
    Ok(prompt::build(generator, question, passages, instructions, &key)?.included)
}

/// One turn of the model.
fn ask_model(
    generator: &dyn Generator,
    conversation: &Conversation,
    usage: &mut Usage,
    checkpoint: Checkpoint<'_>,
) -> Result<String> {
    usage.count_turn(generator.generate(conversation, checkpoint)?)
}

impl Usage {
    /// Adds the counts of a turn. Returns its text; an error when the output limit cut it off.
    pub(super) fn count_turn(&mut self, generated: Generated) -> Result<String> {
        let Generated { text, is_cut, input_tokens, output_tokens } = generated;
        self.requests += 1;
        let sum = |total: Option<u64>, more: Option<u64>| match (total, more) {
            (None, None) => None,
            (total, more) => Some(total.unwrap_or(0).saturating_add(more.unwrap_or(0))),
        };
        self.input_tokens = sum(self.input_tokens, input_tokens);
        self.output_tokens = sum(self.output_tokens, output_tokens);
        if is_cut {
            return Err(Error::model("the model's answer is longer than it may be")
                .with_hint("Create the model with more max_output_tokens."));
        }
        Ok(text)
    }
}

/// The error for a reply that is not in the form of an answer, even after a reminder.
pub(super) fn malformed_answer(why: String) -> Error {
    Error::malformed("the model did not answer in the form it was told to")
        .with_detail(why)
        .with_hint("Try again, or use a model that follows instructions better.")
}

/// Replaces the numbers that passages had in the prompt by their positions among those given.
pub(super) fn with_positions(mut claims: Vec<Claim>, included: &[usize]) -> Vec<Claim> {
    for quote in claims.iter_mut().flat_map(|claim| &mut claim.quotes) {
        quote.passage =
            quote.passage.and_then(|number| included.get(number.checked_sub(1)?)).copied();
    }
    claims
}

/// Looks every quote up, and makes an answer of the claims with a quote that was found.
fn verify_claims(claims: Vec<Claim>, passages: &[&str], usage: Usage) -> GeneratedAnswer {
    let mut answer = AnswerBuilder::default();
    for claim in claims {
        answer.add(claim, passages);
    }
    answer.finish(usage)
}

/// Claims that were looked up so far.
#[derive(Debug, Default)]
pub(super) struct AnswerBuilder {
    citations: Vec<VerifiedQuote>,
    claims: Vec<CheckedClaim>,
}

impl AnswerBuilder {
    /// Looks the quotes of a claim up. Returns its text if a quote was found, and the new citations.
    pub(super) fn add<T: AsRef<str>>(
        &mut self,
        claim: Claim,
        passages: &[T],
    ) -> (Option<String>, &[VerifiedQuote]) {
        let known = self.citations.len();
        let (mut markers, mut dropped) = (Vec::new(), Vec::new());
        for quote in claim.quotes {
            let passage = quote.passage.and_then(|p| Some((p, passages.get(p)?.as_ref())));
            let place =
                passage.and_then(|(p, text)| Some((p, text, find_quote(text, &quote.text)?)));
            match place {
                Some((passage, text, bytes)) => {
                    let marker = cite(&mut self.citations, text, passage, bytes);
                    if !markers.contains(&marker) {
                        markers.push(marker);
                    }
                }
                None => dropped.push(quote.text),
            }
        }
        self.claims.push(CheckedClaim { text: claim.text, markers, dropped });
        let text = answer_text(&self.claims[self.claims.len() - 1..]);
        ((!text.is_empty()).then_some(text), &self.citations[known..])
    }

    /// Claims looked up.
    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }

    /// The whole answer.
    pub(super) fn finish(self, usage: Usage) -> GeneratedAnswer {
        let Self { citations, claims } = self;
        let text = answer_text(&claims);
        let status = if text.is_empty() { Status::NoAnswer } else { Status::Answered };
        let text = if text.is_empty() { NO_ANSWER.to_owned() } else { text };
        GeneratedAnswer { status, text, citations, claims, usage }
    }
}

/// The marker of a quote, a new one unless it was cited before.
fn cite(
    citations: &mut Vec<VerifiedQuote>,
    text: &str,
    passage: usize,
    bytes: Range<usize>,
) -> usize {
    let start = text[..bytes.start].chars().count();
    let quote = text[bytes].to_owned();
    let chars = start..start + quote.chars().count();
    if let Some(known) = citations.iter().find(|c| c.passage == passage && c.chars == chars) {
        return known.marker;
    }
    let marker = citations.len() + 1;
    citations.push(VerifiedQuote { marker, passage, quote, chars });
    marker
}

/// Claims that hold, with their markers. Brackets with numbers that the model itself wrote would look
/// like markers, so they lose theirs.
fn answer_text(claims: &[CheckedClaim]) -> String {
    let mut text = String::new();
    for claim in claims.iter().filter(|claim| !claim.markers.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&without_markers(claim.text.trim()));
        for marker in &claim.markers {
            let _ = write!(text, " [{marker}]");
        }
    }
    text
}

/// `text` without `[1]` and the like.
fn without_markers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let inside = &rest[open + 1..];
        let digits = inside.find(|c: char| !matches!(c, '0'..='9' | ',' | ' '));
        match digits {
            Some(end @ 1..) if inside[end..].starts_with(']') => {
                out.push_str(rest[..open].trim_end());
                rest = &inside[end + 1..];
            }
            _ => {
                out.push_str(&rest[..=open]);
                rest = inside;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::{Usage, without_markers};
    use crate::model::generator::Generated;

    #[test]
    fn markers_of_the_model_are_taken_out() {
        assert_eq!(
            without_markers("It is so [1]. And [2, 3] so [a] a[0]x [] ["),
            "It is so. And so [a] ax [] ["
        );
    }

    #[test]
    fn absurd_counts_of_a_provider_do_not_overflow() {
        let mut usage = Usage::default();
        for _ in 0..2 {
            let turn = Generated { output_tokens: Some(u64::MAX), ..Generated::default() };
            assert!(usage.count_turn(turn).is_ok());
        }
        assert_eq!(usage.output_tokens, Some(u64::MAX));
    }
}
