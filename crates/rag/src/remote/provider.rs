//! What each provider is asked, and how it answers: the only place that knows their formats.
//!
//! A module here turns texts into a request's path and body, and a response's body into vectors, scores
//! or text. It neither sends nor retries, and it does not judge numbers: [`super::check`] does.
mod anthropic;
mod cohere;
mod jina;
mod ollama;
mod openai;
mod shape;
mod tei;
mod voyage;

use super::secret::Secret;
use super::stream::Delta;
use crate::model::Purpose;
use crate::model::generator::{Conversation, Generated};
use serde_json::{Map, Value};

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Texts to vectors.
    Embedder,
    /// Scores of documents for a query.
    Reranker,
    /// Text from text.
    Generator,
}

impl Kind {
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

/// Where below the model's URL to send what.
#[derive(Debug)]
pub(super) struct Ask {
    /// Begins with a slash.
    pub path: &'static str,
    /// A JSON object.
    pub body: Map<String, Value>,
}

impl Ask {
    /// `body` must be an object.
    fn new(path: &'static str, body: Value) -> Option<Self> {
        match body {
            Value::Object(body) => Some(Self { path, body }),
            _ => None,
        }
    }
}

/// Vectors as they came.
#[derive(Debug, PartialEq)]
pub(super) struct Vectors {
    /// In the texts' order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that were counted.
    pub tokens: Option<u64>,
}

/// Scores as they came.
#[derive(Debug, PartialEq)]
pub(super) struct Scores {
    /// Positions of documents and their scores, in any order.
    pub scores: Vec<(usize, f64)>,
    /// Tokens that were counted.
    pub tokens: Option<u64>,
}

/// How a generator is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// From 0 to 2; `None` for models that take no such value.
    pub temperature: Option<f64>,
    /// Most tokens of the answer.
    pub max_output_tokens: u32,
    /// Most tokens of rules, turns and answer, for providers that reserve memory by it: always the same, since
    /// they load the model anew for another.
    pub context: usize,
}

/// A response that cannot be read, in words.
pub(super) type Read<T> = Result<T, String>;

/// A provider's formats. What it does not offer gives `None`, and is never read.
pub(super) trait Provider: Sync {
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
    fn embed(&self, _model: &str, _texts: &[&str], _purpose: Purpose) -> Option<Ask> {
        None
    }

    /// Reads vectors.
    fn vectors(&self, _body: &[u8]) -> Read<Vectors> {
        Err("it gives no vectors".to_owned())
    }

    /// Asks for scores.
    fn rerank(&self, _model: &str, _query: &str, _documents: &[&str]) -> Option<Ask> {
        None
    }

    /// Reads scores.
    fn scores(&self, _body: &[u8]) -> Read<Scores> {
        Err("it gives no scores".to_owned())
    }

    /// Asks for text.
    fn chat(&self, _model: &str, _conversation: &Conversation, _manner: Manner) -> Option<Ask> {
        None
    }

    /// Makes a request for text one whose response comes bit by bit.
    fn stream(&self, body: &mut Map<String, Value>) {
        body.insert("stream".to_owned(), Value::Bool(true));
    }

    /// Reads a line of such a response.
    fn heard(&self, _line: &[u8]) -> Read<Delta> {
        Err("it gives no text".to_owned())
    }

    /// Reads text.
    fn said(&self, _body: &[u8]) -> Read<Generated> {
        Err("it gives no text".to_owned())
    }
}

static PROVIDERS: [&dyn Provider; 8] = [
    &openai::OpenAi,
    &openai::Azure,
    &cohere::Cohere,
    &voyage::Voyage,
    &jina::Jina,
    &tei::Tei,
    &anthropic::Anthropic,
    &ollama::Ollama,
];

/// The provider of a name.
pub(super) fn by_name(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.into_iter().find(|provider| provider.name() == name)
}

/// Names of all providers.
pub(super) fn names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.name()).collect()
}

/// Whether a provider offers models of a kind.
pub(super) fn offers(provider: &dyn Provider, kind: Kind) -> bool {
    let manner = Manner { temperature: None, max_output_tokens: 1, context: 1 };
    match kind {
        Kind::Embedder => provider.embed("", &[], Purpose::Query).is_some(),
        Kind::Reranker => provider.rerank("", "", &[]).is_some(),
        Kind::Generator => provider.chat("", &Conversation::default(), manner).is_some(),
    }
}
