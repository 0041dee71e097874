//! How a generation is built: options of `rag_create_collection` and `rag_rebuild`, checked.
use crate::chunk::{Format, Options};
use crate::model::manifest::Kind;
use crate::model::{LocalModel, Purpose};
use crate::{Error, Result};

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
}

impl Build {
    /// A build with `embedder` as it is installed now and chunks of these sizes, with defaults for
    /// what is not given and for everything else.
    pub fn sized(
        embedder: &LocalModel,
        max_tokens: Option<i32>,
        overlap_tokens: Option<i32>,
    ) -> Result<Self> {
        embedder.require(Kind::Embedder)?;
        let manifest = embedder.manifest();
        let window = embedder.room(Purpose::Document)?;
        let sizes = Options::new(max_tokens, overlap_tokens, Format::Auto, window)?;
        Ok(Self {
            model: manifest.name.clone(),
            fingerprint: manifest.fingerprint.clone(),
            dimensions: manifest.dimensions,
            max_tokens: sizes.max_tokens,
            overlap_tokens: sizes.overlap_tokens,
            format: "auto".to_owned(),
            token_bits: true,
            index_method: "hnsw".to_owned(),
        })
    }
}

/// A format of documents by its name.
pub fn format(name: &str) -> Result<String> {
    name.parse::<Format>()?;
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
