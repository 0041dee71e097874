//! `manifest.json`: what a model directory holds and how to run it.
//!
//! A models directory holds `<name>/<fingerprint>/{manifest.json, model.onnx, tokenizer.json}` and
//! `<name>/current`, a file with the fingerprint that the bare name stands for.
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Version of the manifest this build writes and reads.
pub const FORMAT: u32 = 1;
/// File names inside a model's directory.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The graph with its weights.
pub const MODEL_FILE: &str = "model.onnx";
/// The tokenizer as published.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// Beside the fingerprints' directories: which of them the bare name stands for.
pub const CURRENT_FILE: &str = "current";

/// Most bytes of the file `current`, which holds a fingerprint.
pub const MAX_CURRENT: u64 = 4 << 10;
/// Most bytes of a manifest, or of another file of settings.
pub const MAX_SETTINGS: u64 = 16 << 20;
/// Most bytes of a tokenizer; those of a quarter of a million words have 35 MB.
pub const MAX_TOKENIZER: u64 = 128 << 20;
/// Most bytes of a graph: protocol buffers end there.
pub const MAX_MODEL: u64 = (2 << 30) - 1;

/// The kind of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
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

/// The function applied to a reranker's raw score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// The score is the logit.
    #[default]
    Identity,
    /// The score is the logit's sigmoid, between 0 and 1.
    Sigmoid,
}

/// How the graph names its inputs (all `int64 [batch, sequence]`) and its output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Vocabulary ids.
    pub input_ids: String,
    /// 1 for tokens, 0 for padding.
    pub attention_mask: String,
    /// 0 for the first text, 1 for the second of a pair; absent when the graph has no such input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type_ids: Option<String>,
    /// `float [batch, sequence, dimensions]` of an embedder, `float [batch, 1]` of a reranker.
    pub output: String,
}

impl Signature {
    /// The names in graphs this package writes.
    pub fn of(kind: ModelKind) -> Self {
        Self {
            input_ids: "input_ids".into(),
            attention_mask: "attention_mask".into(),
            token_type_ids: Some("token_type_ids".into()),
            output: match kind {
                ModelKind::Embedder => "token_embeddings".into(),
                ModelKind::Reranker => "scores".into(),
            },
        }
    }
}

/// The manifest. Its fingerprint covers every field that changes a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format: 1.
    pub format: u32,
    /// The model's name; not part of the fingerprint.
    pub name: String,
    /// Embedder or reranker.
    pub kind: ModelKind,
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
    /// Applied to a reranker's raw score; identity for an embedder.
    #[serde(default)]
    pub activation: Activation,
    /// The graph's inputs and output.
    pub signature: Signature,
    /// sha256 in hex of `model.onnx`.
    pub model_sha256: String,
    /// sha256 in hex of `tokenizer.json`.
    pub tokenizer_sha256: String,
    /// Where the files came from: shown, and not part of the fingerprint.
    #[serde(default)]
    pub origin: String,
}

/// Every field that changes a result, in the order that is hashed. Adding a field changes every
/// fingerprint, so a new one must be skipped at its default.
#[derive(Serialize)]
struct Identity<'a> {
    format: u32,
    kind: ModelKind,
    dimensions: usize,
    max_tokens: usize,
    pooling: Pooling,
    normalize: bool,
    query_prefix: &'a str,
    document_prefix: &'a str,
    activation: Activation,
    signature: &'a Signature,
    model_sha256: &'a str,
    tokenizer_sha256: &'a str,
}

impl Manifest {
    /// Reads `manifest.json` and checks that this build understands it and that its fingerprint is
    /// that of its own fields. The files' hashes are for the caller to compare.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| {
            Error::configuration("could not read the model's manifest")
                .with_detail(e.to_string())
                .with_hint("Import the model again with \"rag-model import\".")
        })?;
        if manifest.format != FORMAT {
            return Err(Error::configuration(format!(
                "model \"{}\" has a manifest of format {}, this build reads {FORMAT}",
                manifest.name, manifest.format
            ))
            .with_hint("Import the model again with this version's rag-model."));
        }
        let computed = manifest.computed_fingerprint();
        if manifest.fingerprint != computed {
            return Err(Error::configuration(format!(
                "the manifest of model \"{}\" does not match its fingerprint",
                manifest.name
            ))
            .with_detail(format!("It says {}, its fields make {computed}.", manifest.fingerprint))
            .with_hint("Import the model again; settings of a model are not changed in place."));
        }
        Ok(manifest)
    }

    /// `manifest.json`, as written to disk.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a manifest has string keys only");
        json.push(b'\n');
        json
    }

    /// sha256 in hex over every field that changes a result: not the name, the origin or what the
    /// architecture is called.
    pub fn computed_fingerprint(&self) -> String {
        let identity = Identity {
            format: self.format,
            kind: self.kind,
            dimensions: self.dimensions,
            max_tokens: self.max_tokens,
            pooling: self.pooling,
            normalize: self.normalize,
            query_prefix: &self.query_prefix,
            document_prefix: &self.document_prefix,
            activation: self.activation,
            signature: &self.signature,
            model_sha256: &self.model_sha256,
            tokenizer_sha256: &self.tokenizer_sha256,
        };
        sha256_hex(&serde_json::to_vec(&identity).expect("an identity has string keys only"))
    }
}

/// sha256 in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|&b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// Whether `name` can name a model: it becomes a directory, part of `name@fingerprint`, and a line
/// in lists.
pub fn check_name(name: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && name.len() <= 100 && name.chars().all(fine) {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("{name:?} cannot name a model")).with_hint(
        "A name has 1 to 100 letters, digits, dots, dashes and underscores and starts with a letter or digit.",
    ))
}
