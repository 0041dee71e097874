//! Models that write text.
use super::Checkpoint;
use crate::{Error, Result};

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Whether the model wrote it, not the user.
    pub is_model: bool,
    /// Its text.
    pub text: String,
}

/// The input of a generator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// The rules.
    pub system: String,
    /// The turns so far; the user's is the last.
    pub turns: Vec<Turn>,
}

/// The output of a generator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generated {
    /// Its text.
    pub text: String,
    /// Whether the output limit cut it off, or it was ended because it repeated itself.
    pub is_cut: bool,
    /// Why it ended before it was done, if not therefore: it declined, a filter stopped it, the connection broke.
    pub ended: Option<Error>,
    /// Tokens read, where it counts them.
    pub input_tokens: Option<u64>,
    /// Tokens written, where it counts them.
    pub output_tokens: Option<u64>,
}

/// Writes text.
pub trait Generator {
    /// Most tokens of rules, turns and answer together.
    fn context(&self) -> usize;

    /// Most tokens of an answer.
    fn max_output_tokens(&self) -> usize;

    /// Tokens of a text, or more.
    fn count(&self, text: &str) -> usize;

    /// Whether it loses its way in long rules, as models of few parameters do.
    fn is_small(&self) -> bool {
        false
    }

    /// Generates the next turn of a conversation. Calls `checkpoint` at least every 100 ms.
    fn generate(
        &self,
        conversation: &Conversation,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Generated>;
}
