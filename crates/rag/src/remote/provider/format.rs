//! A provider's formats: what goes into a request, what comes out of a response.
use crate::model::Purpose;
use crate::model::generator::{Conversation, Generated};
use crate::remote::secret::Secret;
use serde_json::{Map, Value};

/// The kind of a remote model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteKind {
    /// Texts to vectors.
    Embedder,
    /// Scores of documents for a query.
    Reranker,
    /// Text from text.
    Generator,
}

impl RemoteKind {
    /// As SQL shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedder => "embedder",
            Self::Reranker => "reranker",
            Self::Generator => "generator",
        }
    }

    /// The kind of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Embedder, Self::Reranker, Self::Generator].into_iter().find(|k| k.as_str() == name)
    }
}

/// Path and body of a request.
#[derive(Debug)]
pub(in crate::remote) struct Payload {
    /// Begins with a slash.
    pub path: &'static str,
    /// A JSON object.
    pub body: Map<String, Value>,
}

impl Payload {
    /// `body` must be an object.
    pub fn new(path: &'static str, body: Value) -> Option<Self> {
        match body {
            Value::Object(body) => Some(Self { path, body }),
            _ => None,
        }
    }
}

/// Vectors as they came.
#[derive(Debug, PartialEq)]
pub(in crate::remote) struct Vectors {
    /// In the texts' order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that were counted.
    pub tokens: Option<u64>,
}

/// Scores as they came.
#[derive(Debug, PartialEq)]
pub(in crate::remote) struct Scores {
    /// Positions of documents and their scores, in any order.
    pub scores: Vec<(usize, f64)>,
    /// Tokens that were counted.
    pub tokens: Option<u64>,
}

/// Options of a generator's request.
#[derive(Debug, Clone, Copy)]
pub(in crate::remote) struct GenerationOptions {
    /// From 0 to 2; `None` for models that take no such value.
    pub temperature: Option<f64>,
    /// Most tokens of the answer.
    pub max_output_tokens: u32,
    /// Most tokens of rules, turns and answer, for providers that reserve memory by it: always the same, since
    /// they load the model anew for another.
    pub context: usize,
}

/// The content of one event of a stream.
#[derive(Debug, Default, PartialEq)]
pub(in crate::remote) struct Delta {
    /// More text.
    pub text: Option<String>,
    /// The model has ended, or was ended.
    pub is_over: bool,
    /// The output limit cut it off.
    pub is_cut: bool,
    /// Why the model ended before it was done, if not therefore.
    pub ended: Option<String>,
    /// Tokens read, where this line tells.
    pub input_tokens: Option<u64>,
    /// Tokens written so far, where this line tells.
    pub output_tokens: Option<u64>,
}

/// A response that cannot be read, in words.
pub(in crate::remote) type Decoded<T> = Result<T, String>;

/// A provider's formats. A request that it does not offer is `None`.
pub(in crate::remote) trait Provider: Sync {
    /// As SQL names it.
    fn name(&self) -> &'static str;

    /// Where it is, for providers that are in one place.
    fn default_url(&self) -> Option<&'static str> {
        None
    }

    /// Most texts of a request.
    fn max_items(&self) -> usize {
        100
    }

    /// Headers that carry the key, and those that every request needs.
    fn headers(&self, secret: Option<&Secret>) -> Vec<(&'static str, String)> {
        secret.map(|secret| ("authorization", secret.header("Bearer "))).into_iter().collect()
    }

    /// Asks for vectors.
    fn embed(&self, _model: &str, _texts: &[&str], _purpose: Purpose) -> Option<Payload> {
        None
    }

    /// Reads vectors.
    fn vectors(&self, _body: &[u8]) -> Decoded<Vectors> {
        Err("it gives no vectors".to_owned())
    }

    /// Asks for scores.
    fn rerank(&self, _model: &str, _query: &str, _documents: &[&str]) -> Option<Payload> {
        None
    }

    /// Reads scores.
    fn scores(&self, _body: &[u8]) -> Decoded<Scores> {
        Err("it gives no scores".to_owned())
    }

    /// Asks for text.
    fn chat(
        &self,
        _model: &str,
        _conversation: &Conversation,
        _manner: GenerationOptions,
    ) -> Option<Payload> {
        None
    }

    /// Makes a request for text one whose response comes bit by bit.
    fn stream(&self, body: &mut Map<String, Value>) {
        body.insert("stream".to_owned(), Value::Bool(true));
    }

    /// Reads a line of such a response.
    fn stream_event(&self, _line: &[u8]) -> Decoded<Delta> {
        Err("it gives no text".to_owned())
    }

    /// Reads text.
    fn completion(&self, _body: &[u8]) -> Decoded<Generated> {
        Err("it gives no text".to_owned())
    }
}
