//! Anthropic's messages.
use super::shape::{self, Usage};
use super::{Ask, Conversation, Generated, Manner, Provider, Read, Secret};
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
    fn chat(&self, model: &str, conversation: &Conversation, manner: Manner) -> Option<Ask> {
        let mut body = json!({
            "model": model,
            "system": conversation.system,
            "messages": shape::turns(conversation).collect::<Vec<Value>>(),
            "max_tokens": manner.max_output_tokens,
        });
        if let Some(temperature) = manner.temperature {
            // Its scale ends at 1.
            body["temperature"] = json!(temperature.min(1.0));
        }
        Ask::new("/messages", body)
    }
    fn said(&self, body: &[u8]) -> Read<Generated> {
        let Message { content, stop_reason, usage } = shape::json(body)?;
        let is_cut = stop_reason.as_deref() == Some("max_tokens");
        Ok(shape::said(content, is_cut, usage.as_ref()))
    }
}

#[derive(Deserialize)]
struct Message {
    #[serde(deserialize_with = "shape::parts")]
    content: String,
    stop_reason: Option<String>,
    usage: Option<Usage>,
}
