//! Cohere, version 2 of its API.
use super::format::{Decoded, Delta, GenerationOptions, Payload, Provider, Scores, Vectors};
use super::shape;
use crate::model::Purpose;
use crate::model::generator::{Conversation, Generated};
use serde::Deserialize;
use serde_json::json;

pub struct Cohere;

impl Provider for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }
    fn default_url(&self) -> Option<&'static str> {
        Some("https://api.cohere.com/v2")
    }
    fn max_items(&self) -> usize {
        96
    }
    fn embed(&self, model: &str, texts: &[&str], purpose: Purpose) -> Option<Payload> {
        let input_type = match purpose {
            Purpose::Query => "search_query",
            Purpose::Document => "search_document",
        };
        let body = json!({
            "model": model, "texts": texts, "input_type": input_type,
            "embedding_types": ["float"], "truncate": "NONE",
        });
        Payload::new("/embed", body)
    }
    fn vectors(&self, body: &[u8]) -> Decoded<Vectors> {
        let Embedded { embeddings, meta } = shape::json(body)?;
        Ok(Vectors { vectors: embeddings.float, tokens: meta.and_then(Meta::input) })
    }
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
        let mut body = shape::chat(model, conversation, options);
        body["response_format"] =
            json!({"type": "json_object", "json_schema": shape::answer_schema()});
        Payload::new("/chat", body)
    }
    fn completion(&self, body: &[u8]) -> Decoded<Generated> {
        let Reply { message, finish_reason, usage } = shape::json(body)?;
        let is_cut = finish_reason.as_deref() == Some(CUT_REASON);
        let tokens = usage.and_then(|usage| usage.tokens);
        let ended = ended(finish_reason.as_deref());
        let Some(text) = message.content.or_else(|| ended.as_ref().map(|_| String::new())) else {
            return Err("It holds no text.".to_owned());
        };
        Ok(Generated {
            ended: ended.map(shape::unfinished),
            ..shape::generated(text, is_cut, tokens.as_ref())
        })
    }
    fn stream_event(&self, line: &[u8]) -> Decoded<Delta> {
        let Event { kind, delta } = shape::json(line)?;
        let EventDelta { message, finish_reason, usage } = delta.unwrap_or_default();
        let tokens = usage.and_then(|usage| usage.tokens).unwrap_or_default();
        let text = message.and_then(|message| message.content);
        Ok(Delta {
            text: text.filter(|_| kind == "content-delta"),
            is_over: kind == "message-end",
            is_cut: finish_reason.as_deref() == Some(CUT_REASON),
            ended: ended(finish_reason.as_deref()),
            input_tokens: tokens.input(),
            output_tokens: tokens.output(),
        })
    }
}

/// Why a model ended that had more to say.
const CUT_REASON: &str = "MAX_TOKENS";

fn ended(finish_reason: Option<&str>) -> Option<String> {
    match finish_reason? {
        "ERROR_TOXIC" => Some(shape::FILTERED.to_owned()),
        "ERROR" | "TIMEOUT" => Some("The provider failed in the middle.".to_owned()),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default, deserialize_with = "shape::aside")]
    delta: Option<EventDelta>,
}

#[derive(Default, Deserialize)]
struct EventDelta {
    #[serde(default, deserialize_with = "shape::aside")]
    message: Option<EventMessage>,
    #[serde(default, deserialize_with = "shape::word")]
    finish_reason: Option<String>,
    #[serde(default, deserialize_with = "shape::aside")]
    usage: Option<Counts>,
}

#[derive(Default, Deserialize)]
struct EventMessage {
    // The first event has a list.
    #[serde(default, deserialize_with = "shape::content")]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Embedded {
    embeddings: ByType,
    #[serde(default, deserialize_with = "shape::aside")]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct ByType {
    float: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Meta {
    billed_units: Option<shape::TokenUsage>,
}

impl Meta {
    fn input(self) -> Option<u64> {
        self.billed_units?.input()
    }
}

#[derive(Deserialize)]
struct Reply {
    message: Message,
    #[serde(default, deserialize_with = "shape::word")]
    finish_reason: Option<String>,
    #[serde(default, deserialize_with = "shape::aside")]
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default, deserialize_with = "shape::content")]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    tokens: Option<shape::TokenUsage>,
}
