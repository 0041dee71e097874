//! `manifest.json`: what a model directory holds and how to run it.
//!
//! A models directory holds `<name>/<fingerprint>/{manifest.json, model.onnx, tokenizer.json}` and
//! `<name>/current`, a file with the fingerprint that the bare name stands for.
use serde::{Deserialize, Serialize};

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Text to vector.
    Embedder,
    /// (query, document) to score.
    Reranker,
}

/// How token vectors become the text's vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first one.
    Cls,
}

/// Number format of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 8-bit weights per channel, activations quantised while running.
    Int8,
    /// 32-bit floating point.
    Fp32,
    /// The graph was taken as it came.
    AsIs,
}

/// The manifest. Its fingerprint covers every field that changes a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format: 1.
    pub format: u32,
    /// The model's name; not part of the fingerprint.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// sha256 in hex over everything that changes a result.
    pub fingerprint: String,
    /// Architecture as `config.json` names it, for example `BertModel`.
    pub architecture: String,
    /// Length of a vector; 1 for a reranker.
    pub dimensions: usize,
    /// The window: most tokens of one input, special tokens included.
    pub max_tokens: usize,
    /// How token vectors become the text's vector.
    pub pooling: Pooling,
    /// Whether the vector is scaled to unit length.
    pub normalize: bool,
    /// Put before a query.
    #[serde(default)]
    pub query_prefix: String,
    /// Put before a document.
    #[serde(default)]
    pub document_prefix: String,
    /// Number format of the weights.
    pub precision: Precision,
    /// sha256 in hex of `model.onnx`.
    pub model_sha256: String,
    /// sha256 in hex of `tokenizer.json`.
    pub tokenizer_sha256: String,
    /// Where the files came from, for people; not part of the fingerprint.
    #[serde(default)]
    pub origin: String,
}
