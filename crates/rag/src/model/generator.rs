//! Models that write text.
use super::Checkpoint;
use crate::Result;

/// One side of a conversation having its say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Said by the model, not by the user.
    pub is_model: bool,
    /// What was said.
    pub text: String,
}

/// What a generator is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// The rules.
    pub system: String,
    /// What was said so far; the user's turn is the last.
    pub turns: Vec<Turn>,
}

/// What a generator wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generated {
    /// Its text.
    pub text: String,
    /// It had more to say than it was allowed to.
    pub is_cut: bool,
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

    /// Has the next say in a conversation. Calls `checkpoint` at least every 100 ms.
    fn generate(
        &self,
        conversation: &Conversation,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Generated>;
}
