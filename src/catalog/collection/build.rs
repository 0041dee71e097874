//! How a generation is built: options of `rag_create_collection` and `rag_rebuild`, checked.
use crate::models::embedder::Embedder;
use rag::chunk::{Format, Options};
use rag::model::Purpose;
use rag::search::lexical::Engine;
use rag::{Error, Result, extract};

/// How a generation is built.
#[derive(Debug, Clone)]
pub struct Build {
    /// Name of the embedder.
    pub model: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Length of its vectors.
    pub dimensions: usize,
    /// Most tokens of a chunk.
    pub max_tokens: usize,
    /// Most tokens neighbouring chunks share.
    pub overlap_tokens: usize,
    /// Format of the documents.
    pub format: String,
    /// Whether token bits are kept for reranking.
    pub token_bits: bool,
    /// Method of the vector index.
    pub index_method: String,
    /// What finds chunks by their words.
    pub lexical: Engine,
    /// Schema of its tables, quoted.
    pub schema_sql: String,
}

impl Build {
    /// A build with `embedder` as it is installed now and chunks of these sizes, with defaults for
    /// what is not given and for everything else.
    pub fn sized(
        embedder: &Embedder,
        max_tokens: Option<i32>,
        overlap_tokens: Option<i32>,
        schema_sql: String,
    ) -> Result<Self> {
        let window = embedder.room(Purpose::Document)?;
        let sizes = Options::new(max_tokens, overlap_tokens, Format::Auto, window)?;
        Ok(Self {
            model: embedder.name().to_owned(),
            fingerprint: embedder.fingerprint().into_owned(),
            dimensions: embedder.dimensions(),
            max_tokens: sizes.max_tokens,
            overlap_tokens: sizes.overlap_tokens,
            format: "auto".to_owned(),
            token_bits: embedder.is_local(),
            index_method: "hnsw".to_owned(),
            lexical: Engine::Builtin,
            schema_sql,
        })
    }
}

/// Whether token bits are kept where `wanted` says so or, without it, `default`: only files of this machine
/// give vectors of tokens.
pub fn token_bits(wanted: Option<bool>, default: bool, embedder: &Embedder) -> Result<bool> {
    match (wanted, embedder.is_local()) {
        (Some(true), false) => Err(Error::unsupported(format!(
            "model \"{}\" runs on another server and has no vectors of tokens",
            embedder.name()
        ))
        .with_hint("Leave token_bits NULL: the order is then by similarity and BM25.")),
        (wanted, is_local) => Ok(is_local && wanted.unwrap_or(default)),
    }
}

/// A format of documents, which may be files, by its name.
pub fn format(name: &str, is_of_files: bool) -> Result<String> {
    if is_of_files {
        extract::require_format(name)?;
    } else {
        name.parse::<Format>()?;
    }
    Ok(name.to_owned())
}

/// A method of the vector index by its name.
pub fn index_method(name: &str) -> Result<String> {
    const METHODS: [&str; 3] = ["hnsw", "ivfflat", "none"];
    if METHODS.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(Error::invalid_argument(format!("unrecognized index \"{name}\""))
        .with_hint(format!("Use one of: {}.", METHODS.join(", "))))
}
