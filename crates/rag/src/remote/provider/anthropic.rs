//! Anthropic's messages.
use super::format::{Decoded, Delta, GenerationOptions, Payload, Provider};
use super::shape::{self, TokenUsage};
use crate::model::generator::{Conversation, Generated};
use crate::remote::secret::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

pub struct Anthropic;

impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }
    fn default_url(&self) -> Option<&'static str> {
        Some("https://api.anthropic.com/v1")
    }
    fn headers(&self, secret: Option<&Secret>) -> Vec<(&'static str, String)> {
        let mut headers = vec![("anthropic-version", "2023-06-01".to_owned())];
        headers.extend(secret.map(|secret| ("x-api-key", secret.header(""))));
        headers
    }
    fn chat(
        &self,
        model: &str,
        conversation: &Conversation,
        options: GenerationOptions,
    ) -> Option<Payload> {
        let mut body = json!({
            "model": model,
            "system": conversation.system,
            "messages": shape::turns(conversation).collect::<Vec<Value>>(),
            "max_tokens": options.max_output_tokens,
        });
        if let Some(temperature) = options.temperature {
            // Its scale ends at 1.
            body["temperature"] = json!(temperature.min(1.0));
        }
        Payload::new("/messages", body)
    }
    fn completion(&self, body: &[u8]) -> Decoded<Generated> {
        let Message { content, stop_reason, usage } = shape::json(body)?;
        let is_cut = stop_reason.as_deref() == Some(CUT_REASON);
        Ok(shape::generated(content, is_cut, usage.as_ref()))
    }
    fn stream_event(&self, line: &[u8]) -> Decoded<Delta> {
        let Event { kind, delta, message, usage } = shape::json(line)?;
        let delta = delta.unwrap_or_default();
        let first = message.and_then(|message| message.usage).unwrap_or_default();
        Ok(Delta {
            text: delta.text,
            is_over: kind == "message_stop",
            is_cut: delta.stop_reason.as_deref() == Some(CUT_REASON),
            input_tokens: first.input(),
            output_tokens: usage.as_ref().and_then(TokenUsage::output),
        })
    }
}

/// Why a model ended that had more to say.
const CUT_REASON: &str = "max_tokens";

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type", default)]
    kind: String,
    delta: Option<EventDelta>,
    message: Option<Begun>,
    #[serde(default, deserialize_with = "shape::aside")]
    usage: Option<TokenUsage>,
}

#[derive(Default, Deserialize)]
struct EventDelta {
    text: Option<String>,
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Begun {
    #[serde(default, deserialize_with = "shape::aside")]
    usage: Option<TokenUsage>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(deserialize_with = "shape::parts")]
    content: String,
    #[serde(default, deserialize_with = "shape::word")]
    stop_reason: Option<String>,
    #[serde(default, deserialize_with = "shape::aside")]
    usage: Option<TokenUsage>,
}
