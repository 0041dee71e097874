//! Calls as they are recorded: what was sent, what came back, what it costs.
use std::time::{Duration, SystemTime};

/// A call that was made, for the record.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The purpose of the texts.
    pub purpose: CallPurpose,
    /// Texts or documents in it.
    pub items: usize,
    /// Tokens estimated before it was sent.
    pub tokens: usize,
    /// Tokens as the provider counted them.
    pub counted: Counted,
    /// When the first request was sent.
    pub began: SystemTime,
    /// Requests sent, the one that succeeded included.
    pub attempts: u32,
    /// From the first request to the end, pauses included.
    pub duration: Duration,
    /// Status of the last response, if any came.
    pub status: Option<u16>,
    /// The provider's identifier of the last request.
    pub request_id: Option<String>,
    /// Whether a response came that could be used.
    pub is_success: bool,
}

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPurpose {
    /// Vectors of texts that ask.
    Query,
    /// Vectors of texts that are searched.
    Document,
    /// Scores.
    Rerank,
    /// Text.
    Answer,
}

impl CallPurpose {
    /// As SQL shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Document => "document",
            Self::Rerank => "rerank",
            Self::Answer => "answer",
        }
    }
}

/// Tokens as a provider counts them, where it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Tokens read.
    pub input: Option<u64>,
    /// Tokens written.
    pub output: Option<u64>,
}

impl Call {
    /// The cost at these prices; `None` where there are none. What a provider did not answer with
    /// success it does not charge; a response that turned out not to be usable it does.
    pub fn cost(&self, price: &Price) -> Option<f64> {
        if *price != Price::default()
            && !self.status.is_some_and(|status| (200..300).contains(&status))
        {
            return Some(0.0);
        }
        let input = self.counted.input.unwrap_or(self.tokens as u64);
        price.of(1, input, self.counted.output.unwrap_or(0))
    }
}

/// Prices of a model, in whatever currency.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// Of a million tokens read.
    pub input: Option<f64>,
    /// Of a million tokens written.
    pub output: Option<f64>,
    /// Of a request, as rerankers are charged.
    pub request: Option<f64>,
}

impl Price {
    /// What so many requests cost that read and wrote so many tokens; `None` where there is no price.
    pub fn of(&self, requests: u32, input: u64, output: u64) -> Option<f64> {
        if *self == Self::default() {
            return None;
        }
        let million = |tokens: u64, price: Option<f64>| tokens as f64 / 1e6 * price.unwrap_or(0.0);
        Some(
            million(input, self.input)
                + million(output, self.output)
                + f64::from(requests) * self.request.unwrap_or(0.0),
        )
    }
}
