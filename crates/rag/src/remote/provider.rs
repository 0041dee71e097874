//! Requests and responses of each provider: the only module that knows their formats.
//!
//! A module here turns texts into a request's path and body, and a response's body into vectors, scores
//! or text. It neither sends nor retries, and it does not judge numbers: [`super::check`] does.
mod anthropic;
mod cohere;
mod format;
mod jina;
mod ollama;
mod openai;
mod shape;
mod tei;
mod voyage;

pub use format::RemoteKind;
pub(super) use format::{Delta, GenerationOptions, Payload, Provider, Scores};
pub(super) use shape::unfinished;

use crate::model::Purpose;
use crate::model::generator::Conversation;

static PROVIDERS: &[&dyn Provider] = &[
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
    PROVIDERS.iter().copied().find(|provider| provider.name() == name)
}

/// Names of all providers.
pub(super) fn names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.name()).collect()
}

/// Whether a provider offers models of a kind.
pub(super) fn offers(provider: &dyn Provider, kind: RemoteKind) -> bool {
    let options = GenerationOptions { temperature: None, max_output_tokens: 1, context: 1 };
    match kind {
        RemoteKind::Embedder => provider.embed("", &[], Purpose::Query).is_some(),
        RemoteKind::Reranker => provider.rerank("", "", &[]).is_some(),
        RemoteKind::Generator => provider.chat("", &Conversation::default(), options).is_some(),
    }
}
