//! Answers shown while the model still writes them.
//!
//! The model writes JSON. Each claim is looked up as soon as it is complete, and shown only if it holds: what a reader sees is
//! what [`super::generate`] would give, only sooner. Nothing of the model's thoughts is.
use super::build::AnswerBuilder;
use super::claims::{Claim, Reading};
use super::generate::{self, TurnEnd};
use super::prompt::{self, Prompt};
use super::reply;
use super::written::{GeneratedAnswer, Usage, VerifiedQuote};
use crate::Result;
use crate::model::generator::{Conversation, Generated, Generator, Turn};

/// Bytes that end something; behind them it pays to read.
const ENDS: [char; 3] = ['}', ']', '"'];
/// A long reply is read again when it has grown by this part.
const READ_STEP: usize = 256;

/// An answer being written.
#[derive(Debug)]
pub struct Stream {
    passages: Vec<String>,
    conversation: Conversation,
    /// What the model wrote in this turn.
    reply: String,
    /// How much of it was read.
    read: usize,
    /// Claims of this turn that were looked up.
    taken: usize,
    answer: AnswerBuilder,
    usage: Usage,
    is_repair: bool,
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
            conversation: Conversation::default(),
            reply: String::new(),
            read: 0,
            taken: 0,
            answer: AnswerBuilder::default(),
            usage: Usage::default(),
            is_repair: false,
        };
        if stream.passages.iter().all(|passage| passage.trim().is_empty()) {
            return Ok((stream, None));
        }
        let texts: Vec<&str> = stream.passages.iter().map(String::as_str).collect();
        let key = prompt::nonce()?;
        let Prompt { system, user, included } =
            prompt::build(generator, question, &texts, instructions, &key)?;
        stream.usage.passages = included.len();
        stream.answer = AnswerBuilder::new(question, &key, included, generator.is_small());
        stream.conversation =
            Conversation { system, turns: vec![Turn { is_model: false, text: user }] };
        let conversation = stream.conversation.clone();
        Ok((stream, Some(conversation)))
    }

    /// Takes in what the model wrote next. Returns what can be shown of it.
    pub fn push(&mut self, text: &str) -> Vec<AnswerPiece> {
        self.reply.push_str(text);
        let is_due = self.reply.len() - self.read > self.reply.len() / READ_STEP;
        if !is_due || !self.reply[self.read..].contains(ENDS) {
            return Vec::new();
        }
        self.read = self.reply.len();
        let claims = reply::read(&self.reply, false).claims;
        self.add(claims)
    }

    /// The model has ended its turn, or was ended. An error where nothing can be used.
    pub fn end_turn(&mut self, generated: Generated) -> Result<Next> {
        let (is_cut, ended) = (generated.is_cut, generated.ended.clone());
        let end = TurnEnd { is_cut, ended, is_repair: self.is_repair };
        let text = self.usage.count_turn(generated);
        let Reading { claims, defect } = reply::read(&text, true);
        let pieces = self.add(claims);
        match generate::judge(&self.answer, defect, end)? {
            None => Ok(Next::Done(pieces, Box::new(self.written()))),
            Some(why) => {
                self.is_repair = true;
                (self.read, self.taken) = (0, 0);
                self.reply.clear();
                prompt::ask_again(&mut self.conversation, text, &why);
                Ok(Next::Ask(self.conversation.clone()))
            }
        }
    }

    /// The text of a passage that a citation names.
    pub fn passage(&self, position: usize) -> &str {
        &self.passages[position]
    }

    /// The whole answer, so far.
    pub fn written(&mut self) -> GeneratedAnswer {
        std::mem::take(&mut self.answer).finish(self.usage.clone())
    }

    /// Looks up those of a turn's claims that were not before.
    fn add(&mut self, claims: Vec<Claim>) -> Vec<AnswerPiece> {
        let mut pieces = Vec::new();
        for claim in claims.into_iter().skip(self.taken) {
            self.taken += 1;
            let (text, citations) = self.answer.add(claim, &self.passages);
            if let Some(text) = text {
                pieces.extend(citations.iter().cloned().map(AnswerPiece::Citation));
                pieces.push(AnswerPiece::Text(text));
            }
        }
        pieces
    }
}
