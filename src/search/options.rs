//! Options of a search.
use rag::search::Syntax;
use rag::search::filter::Filter;
use serde_json::Value;

/// `top_k` when none is given.
pub const DEFAULT_TOP_K: i64 = 5;

/// Maximum of `top_k`, `depth` and `candidates`.
pub const MAX_CANDIDATES: usize = 1_000;

/// How to search.
#[derive(Debug, Clone)]
pub struct Options {
    pub top_k: usize,
    /// What the text may ask for beside its words.
    pub syntax: Syntax,
    /// Condition on documents and chunks.
    pub filter: Option<Filter>,
    /// The condition as the caller wrote it.
    pub filter_text: Option<Value>,
    /// Whether late interaction (`MaxSim`) is part of the score.
    pub rerank: bool,
    /// Ranks of each leg that count.
    pub depth: usize,
    pub candidates: usize,
    /// Weight of the dense leg; 0 leaves it out; `None`: by the generation's calibration.
    pub dense_weight: Option<f64>,
    /// Weight of the lexical leg; 0 leaves it out.
    pub lexical_weight: f64,
    /// Weight of `MaxSim` in the score; `None`: by the generation's calibration.
    pub rerank_weight: Option<f64>,
    /// Least relevance of a result.
    pub min_relevance: Option<f64>,
    /// Maximum of chunks per document.
    pub per_document: Option<usize>,
    /// Similarity to a better chunk at which a chunk is left out.
    pub near_duplicate: Option<f64>,
    /// Neighbours on each side that a result is returned with.
    pub expand: usize,
    /// What is searched for instead of the question, which takes something from a conversation.
    pub standalone: Option<String>,
    /// Whether a distributed search leaves out servers that fail.
    pub is_partial: bool,
    /// Whether an answer will quote the neighbours, so that each is read as a chunk of its own.
    pub quotes: bool,
}

impl Options {
    /// What is searched for: the question as it was asked, or as it stands alone.
    pub fn text<'a>(&'a self, question: &'a str) -> &'a str {
        self.standalone.as_deref().unwrap_or(question)
    }

    /// The defaults for `top_k` results.
    pub fn top(top_k: usize) -> Self {
        Self {
            top_k,
            syntax: Syntax::Words,
            filter: None,
            filter_text: None,
            rerank: true,
            depth: 100.max(top_k),
            candidates: 50.max(top_k),
            dense_weight: None,
            lexical_weight: 1.0,
            rerank_weight: None,
            min_relevance: None,
            per_document: None,
            near_duplicate: None,
            expand: 0,
            standalone: None,
            is_partial: false,
            quotes: false,
        }
    }
}
