//! Models on disk and in memory: manifest, tokenizer, ONNX session, import.
//!
//! The seam everything else depends on is [`Embedder`]; batching and tokenising live above it.
pub mod batch;
pub mod bert;
mod cross_encoder;
mod embedder;
pub mod generator;
pub mod hub;
pub mod import;
pub mod install;
pub mod inventory;
pub mod local;
pub mod manifest;
pub mod onnx;
pub mod runtime;
pub mod session;
pub mod storable;
pub mod store;
pub mod tokenizer;
pub mod watch;

pub use embedder::TOKEN_BUDGET;
pub use local::LocalModel;

use crate::Result;

/// Called between steps of long work. It may return an error or unwind (a backend's cancel does).
pub type Checkpoint<'a> = &'a mut dyn FnMut() -> Result<()>;

/// Which side of a search a text stands on; some models put a prefix before one or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The text asks.
    Query,
    /// The text is searched.
    Document,
}

/// Results of an embedder besides the text's vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The text's vector alone.
    Vector,
    /// Also one vector per token.
    Tokens,
}

/// One vector per token of a text, without special tokens and prefix, row-major `[tokens, dimensions]`,
/// each row of unit length.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenVectors {
    /// Length of a row.
    pub dimensions: usize,
    /// The rows, one after the other.
    pub data: Vec<f32>,
}

/// The embedding of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The text's vector, `dimensions` long.
    pub vector: Vec<f32>,
    /// The tokens' vectors, when asked for.
    pub tokens: Option<TokenVectors>,
    /// Tokens of the text (prefix and special tokens excluded) before any were cut off.
    pub token_count: usize,
    /// Whether the text was longer than the window and its end did not count.
    pub truncated: bool,
}

/// Turns texts into vectors of one space.
pub trait Embedder {
    /// Embeds `texts` and returns their embeddings in the same order. Calls `checkpoint` at least
    /// every 100 ms. A text without any token is an error naming its position.
    fn embed(
        &self,
        texts: &[&str],
        purpose: Purpose,
        detail: Detail,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<Embedding>>;
}

/// Scores (query, document) pairs together.
pub trait Reranker {
    /// One score per document, in the documents' order; higher fits better.
    fn rerank(
        &self,
        query: &str,
        documents: &[&str],
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<f32>>;
}
