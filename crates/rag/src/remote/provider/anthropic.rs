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
            "tools": [{"name": TOOL, "description": "Takes the answer.", "input_schema": shape::answer_schema()}],
            "tool_choice": {"type": "tool", "name": TOOL},
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
        let ended = ended(stop_reason.as_deref());
        let parts = content.as_array().ok_or_else(|| "It holds no text.".to_owned())?;
        let text = parts.iter().filter_map(text).collect();
        Ok(Generated {
            ended: ended.map(shape::unfinished),
            ..shape::generated(text, is_cut, usage.as_ref())
        })
    }
    fn stream_event(&self, line: &[u8]) -> Decoded<Delta> {
        let Event { kind, delta, message, usage } = shape::json(line)?;
        let delta = delta.unwrap_or_default();
        let first = message.and_then(|message| message.usage).unwrap_or_default();
        Ok(Delta {
            text: delta.text.or(delta.partial_json),
            is_over: kind == "message_stop",
            is_cut: delta.stop_reason.as_deref() == Some(CUT_REASON),
            ended: ended(delta.stop_reason.as_deref()),
            input_tokens: first.input(),
            output_tokens: usage.as_ref().and_then(TokenUsage::output),
        })
    }
}

/// Why a model ended that had more to say.
const CUT_REASON: &str = "max_tokens";
/// The tool that an answer is handed to, so that it has its form.
const TOOL: &str = "answer";

fn ended(stop_reason: Option<&str>) -> Option<String> {
    (stop_reason == Some("refusal")).then(|| shape::DECLINED.to_owned())
}

/// The text of a part of a message, or what it hands to the tool.
fn text(part: &Value) -> Option<String> {
    match part["type"].as_str() {
        Some("tool_use") => Some(part["input"].to_string()),
        _ => shape::text_of(part),
    }
}

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
    #[serde(default, deserialize_with = "shape::word")]
    text: Option<String>,
    #[serde(default, deserialize_with = "shape::word")]
    partial_json: Option<String>,
    #[serde(default, deserialize_with = "shape::word")]
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Begun {
    #[serde(default, deserialize_with = "shape::aside")]
    usage: Option<TokenUsage>,
}

#[derive(Deserialize)]
struct Message {
    content: Value,
    #[serde(default, deserialize_with = "shape::word")]
    stop_reason: Option<String>,
    #[serde(default, deserialize_with = "shape::aside")]
    usage: Option<TokenUsage>,
}
