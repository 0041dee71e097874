//! `OpenAI`, and the many servers that speak its format: vLLM, llama.cpp, LM Studio, gateways, and
//! Azure, whose key goes in a header of its own.
use super::format::{Decoded, Delta, GenerationOptions, Payload, Provider, Scores, Vectors};
use super::shape::{self, TokenUsage};
use crate::model::Purpose;
use crate::model::generator::{Conversation, Generated};
use crate::remote::secret::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub struct OpenAi;

/// Deployments below `…/openai/deployments/NAME`, or `…/openai/v1`.
pub struct Azure;

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }
    fn default_url(&self) -> Option<&'static str> {
        Some("https://api.openai.com/v1")
    }
    fn embed(&self, model: &str, texts: &[&str], _: Purpose) -> Option<Payload> {
        let body = json!({"model": model, "input": texts, "encoding_format": "float"});
        Payload::new("/embeddings", body)
    }
    fn vectors(&self, body: &[u8]) -> Decoded<Vectors> {
        shape::indexed_vectors(body)
    }
    /// `OpenAI` itself has no such thing; the servers that speak its format do, in one form.
    fn rerank(&self, model: &str, query: &str, documents: &[&str]) -> Option<Payload> {
        Payload::new("/rerank", shape::rerank(model, query, documents))
    }
    fn scores(&self, body: &[u8]) -> Decoded<Scores> {
        shape::indexed_scores(body)
    }
    fn chat(
        &self,
        model: &str,
        conversation: &Conversation,
        options: GenerationOptions,
    ) -> Option<Payload> {
        Payload::new("/chat/completions", shape::chat(model, conversation, options))
    }
    fn completion(&self, body: &[u8]) -> Decoded<Generated> {
        let Completion { choices, usage } = shape::json(body)?;
        let Choice { message, finish_reason } = shape::first(choices)?;
        let is_cut = finish_reason.as_deref() == Some(CUT_REASON);
        let ended = ended(finish_reason.as_deref(), message.refusal);
        let Some(text) = message.content.or_else(|| ended.as_ref().map(|_| String::new())) else {
            return Err("It holds no text.".to_owned());
        };
        Ok(Generated {
            ended: ended.map(shape::unfinished),
            ..shape::generated(text, is_cut, usage.as_ref())
        })
    }
    fn stream(&self, body: &mut Map<String, Value>) {
        body.insert("stream".to_owned(), Value::Bool(true));
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    fn stream_event(&self, line: &[u8]) -> Decoded<Delta> {
        let Chunk { choices, usage } = shape::json(line)?;
        let has_usage = usage.is_some();
        let usage = usage.unwrap_or_default();
        let (input_tokens, output_tokens) = (usage.input(), usage.output());
        // The last one has counts alone.
        let Some(ChunkChoice { delta, finish_reason }) = choices.into_iter().flatten().next()
        else {
            return Ok(Delta {
                is_over: has_usage,
                input_tokens,
                output_tokens,
                ..Delta::default()
            });
        };
        let is_cut = finish_reason.as_deref() == Some(CUT_REASON);
        let is_over = finish_reason.is_some();
        let ended = ended(finish_reason.as_deref(), delta.refusal);
        Ok(Delta { text: delta.content, is_over, is_cut, ended, input_tokens, output_tokens })
    }
}

/// Why a model ended that had more to say.
const CUT_REASON: &str = "length";

/// Why a model ended that had not answered, if it did so.
fn ended(finish_reason: Option<&str>, refusal: Option<String>) -> Option<String> {
    let refused = refusal.filter(|words| !words.is_empty());
    let declined = refused.map(|words| format!("It declines to answer: {words}"));
    let is_filtered = finish_reason == Some("content_filter");
    declined.or_else(|| is_filtered.then(|| shape::FILTERED.to_owned()))
}

#[derive(Deserialize)]
struct Chunk {
    // Gateways send events of their own.
    choices: Option<Vec<ChunkChoice>>,
    #[serde(default, deserialize_with = "shape::aside")]
    usage: Option<TokenUsage>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    // A server that does not stream sends all of it as a message.
    #[serde(default, alias = "message")]
    delta: Message,
    #[serde(default, deserialize_with = "shape::word")]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default, deserialize_with = "shape::aside")]
    usage: Option<TokenUsage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default, deserialize_with = "shape::word")]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Message {
    #[serde(default, deserialize_with = "shape::content")]
    content: Option<String>,
    #[serde(default, deserialize_with = "shape::word")]
    refusal: Option<String>,
}

impl Provider for Azure {
    fn name(&self) -> &'static str {
        "azure"
    }
    fn headers(&self, secret: Option<&Secret>) -> Vec<(&'static str, String)> {
        secret.map(|secret| ("api-key", secret.header(""))).into_iter().collect()
    }
    fn embed(&self, model: &str, texts: &[&str], purpose: Purpose) -> Option<Payload> {
        OpenAi.embed(model, texts, purpose)
    }
    fn vectors(&self, body: &[u8]) -> Decoded<Vectors> {
        OpenAi.vectors(body)
    }
    fn chat(
        &self,
        model: &str,
        conversation: &Conversation,
        options: GenerationOptions,
    ) -> Option<Payload> {
        OpenAi.chat(model, conversation, options)
    }
    fn completion(&self, body: &[u8]) -> Decoded<Generated> {
        OpenAi.completion(body)
    }
    fn stream(&self, body: &mut Map<String, Value>) {
        OpenAi.stream(body);
    }
    fn stream_event(&self, line: &[u8]) -> Decoded<Delta> {
        OpenAi.stream_event(line)
    }
}
