//! Answers shown while the model still writes them.
//!
//! The model writes JSON, claim by claim. Each claim is looked up as soon as it is complete, and shown only if its
//! quotes are found: what a reader sees is what [`super::generate`] would give, only sooner.
use super::claims::{self, Claim};
use super::generate::{
    AnswerBuilder, GeneratedAnswer, Usage, VerifiedQuote, malformed_answer, with_positions,
};
use super::prompt::{self, Prompt};
use crate::Result;
use crate::model::generator::{Conversation, Generated, Generator, Turn};
use serde_json::Value;

/// An answer being written.
#[derive(Debug)]
pub struct Stream {
    passages: Vec<String>,
    /// Positions of passages by their numbers in the prompt.
    included: Vec<usize>,
    conversation: Conversation,
    scanner: ClaimScanner,
    answer: AnswerBuilder,
    usage: Usage,
    is_reminded: bool,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerPiece {
    /// A claim that holds, with its markers.
    Text(String),
    /// The citation of one of its markers; before the claim.
    Citation(VerifiedQuote),
}

/// The next step after a turn of the model.
#[derive(Debug)]
pub enum Next {
    /// The model did not keep to the form before anything was shown: it is asked once more.
    Ask(Conversation),
    /// The last pieces, and the whole answer.
    Done(Vec<AnswerPiece>, Box<GeneratedAnswer>),
}

impl Stream {
    /// An answer to `question` from `passages`, the best first, and what to ask the generator; `None` where
    /// there is nothing to answer from, and so no call. Arguments and errors are those of
    /// [`super::generate::generate`].
    pub fn begin(
        generator: &dyn Generator,
        question: &str,
        passages: Vec<String>,
        instructions: Option<&str>,
    ) -> Result<(Self, Option<Conversation>)> {
        let mut stream = Self {
            passages,
            included: Vec::new(),
            conversation: Conversation::default(),
            scanner: ClaimScanner::default(),
            answer: AnswerBuilder::default(),
            usage: Usage::default(),
            is_reminded: false,
        };
        if stream.passages.iter().all(|passage| passage.trim().is_empty()) {
            return Ok((stream, None));
        }
        let texts: Vec<&str> = stream.passages.iter().map(String::as_str).collect();
        let Prompt { system, user, included } =
            prompt::build(generator, question, &texts, instructions, &prompt::nonce()?)?;
        stream.usage.passages = included.len();
        stream.included = included;
        stream.conversation =
            Conversation { system, turns: vec![Turn { is_model: false, text: user }] };
        let conversation = stream.conversation.clone();
        Ok((stream, Some(conversation)))
    }

    /// Takes in what the model wrote next. Returns what can be shown of it.
    pub fn push(&mut self, text: &str) -> Vec<AnswerPiece> {
        let claims = self.scanner.push(text);
        self.add(claims)
    }

    /// The model has ended its turn. An error when it had more to say than it may, and when it did not keep to
    /// the form although it was reminded, or after something was shown.
    pub fn end_turn(&mut self, generated: Generated) -> Result<Next> {
        let reply = self.usage.count_turn(generated)?;
        match claims::read(&reply) {
            Ok(claims) => {
                // Those that were read on the way are the first of them.
                let rest = claims.into_iter().skip(self.answer.len()).collect();
                let pieces = self.add(rest);
                Ok(Next::Done(pieces, Box::new(self.written())))
            }
            Err(why) if self.is_reminded || self.answer.len() > 0 => Err(malformed_answer(why)),
            Err(why) => {
                self.is_reminded = true;
                self.scanner = ClaimScanner::default();
                let reminder = prompt::reminder(&why);
                self.conversation.turns.push(Turn { is_model: true, text: reply });
                self.conversation.turns.push(Turn { is_model: false, text: reminder });
                Ok(Next::Ask(self.conversation.clone()))
            }
        }
    }

    /// The whole answer, so far.
    pub fn written(&mut self) -> GeneratedAnswer {
        std::mem::take(&mut self.answer).finish(self.usage)
    }

    fn add(&mut self, claims: Vec<Claim>) -> Vec<AnswerPiece> {
        let mut pieces = Vec::new();
        for claim in with_positions(claims, &self.included) {
            let (text, citations) = self.answer.add(claim, &self.passages);
            pieces.extend(citations.iter().cloned().map(AnswerPiece::Citation));
            pieces.extend(text.map(AnswerPiece::Text));
        }
        pieces
    }
}

/// Finds the elements of the array "claims" in an object that is still being written.
#[derive(Debug, Default)]
struct ClaimScanner {
    text: String,
    /// Bytes scanned.
    at: usize,
    /// Open brackets, the outermost first.
    open: Vec<u8>,
    /// Where the string begins that is open.
    string: Option<usize>,
    is_escaped: bool,
    /// The last string of the outermost object.
    key: String,
    is_in_claims: bool,
    /// Where the claim begins that is open.
    claim: Option<usize>,
    found: usize,
    /// The text is not as expected, or over: claims are read from the whole reply when it is there.
    is_over: bool,
}

impl ClaimScanner {
    /// Takes in more text. Returns the claims that it completes.
    fn push(&mut self, text: &str) -> Vec<Claim> {
        self.text.push_str(text);
        let mut claims = Vec::new();
        while !self.is_over
            && let Some(byte) = self.text.as_bytes().get(self.at).copied()
        {
            if let Some(claim) = self.step(byte) {
                claims.push(claim);
            }
            self.at += 1;
        }
        claims
    }

    fn step(&mut self, byte: u8) -> Option<Claim> {
        if let Some(start) = self.string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => {
                    if self.open == b"{" {
                        self.key = self.text[start + 1..self.at].to_owned();
                    }
                    self.string = None;
                }
                _ => {}
            }
            return None;
        }
        match byte {
            // Anything may precede the object.
            _ if self.open.is_empty() && byte != b'{' => {}
            b'"' => self.string = Some(self.at),
            b'{' | b'[' => {
                if byte == b'[' && self.open == b"{" {
                    self.is_in_claims = self.key == "claims";
                }
                if byte == b'{' && self.is_in_claims && self.open == b"{[" {
                    self.claim = Some(self.at);
                }
                self.open.push(byte);
            }
            b'}' | b']' => {
                self.open.pop();
                if self.open == b"{[" {
                    return self.claim.take().and_then(|start| self.read(start));
                }
                if self.open == b"{" {
                    self.is_in_claims = false;
                }
                // After the object there is nothing to find.
                self.is_over = self.open.is_empty();
            }
            _ => {}
        }
        None
    }

    fn read(&mut self, start: usize) -> Option<Claim> {
        let value: Option<Value> = serde_json::from_str(&self.text[start..=self.at]).ok();
        let claim = value.and_then(|value| claims::claim(&value).ok());
        self.found += 1;
        self.is_over = claim.is_none() || self.found > claims::MAX_ITEMS;
        claim.filter(|_| !self.is_over)
    }
}

#[cfg(test)]
mod tests {
    use super::ClaimScanner;
    use crate::answer::claims;
    use proptest::prelude::*;

    const REPLY: &str = r#"Sure: ```json
{"note": [{"text": "x", "quotes": []}], "claims": [
 {"text": "A \"b\" } ] é", "quotes": [{"passage": 1, "quote": "q{"}, {"passage": 2, "quote": "\\"}]},
 {"text": "C", "quotes": []}
], "more": {"claims": [{"text": "no", "quotes": []}]}}
``` "#;

    proptest! {
        #[test]
        fn claims_are_found_however_the_reply_is_cut(cuts in prop::collection::vec(0_usize..REPLY.len(), 0..12)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| REPLY.floor_char_boundary(cut)).collect();
            cuts.extend([0, REPLY.len()]);
            cuts.sort_unstable();
            let mut scanner = ClaimScanner::default();
            let found: Vec<_> = cuts.windows(2).flat_map(|pair| scanner.push(&REPLY[pair[0]..pair[1]])).collect();
            prop_assert_eq!(found, claims::read(REPLY).unwrap());
        }
    }

    #[test]
    fn a_claim_is_found_with_its_last_byte() {
        let end = REPLY.find("\"}]},").unwrap() + 4;
        let mut scanner = ClaimScanner::default();
        assert!(scanner.push(&REPLY[..end - 1]).is_empty());
        assert_eq!(scanner.push(&REPLY[end - 1..end]).len(), 1);
    }

    #[test]
    fn a_malformed_claim_ends_streaming_of_claims() {
        let mut scanner = ClaimScanner::default();
        assert!(
            scanner.push(r#"{"claims": [{"text": 7}, {"text": "C", "quotes": []}]}"#).is_empty()
        );
        assert!(ClaimScanner::default().push("no JSON [ \" { ] } ").is_empty());
    }
}
