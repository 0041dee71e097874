//! Ollama's own API.
use super::format::{Decoded, Delta, GenerationOptions, Payload, Provider, Vectors};
use super::shape;
use crate::model::Purpose;
use crate::model::generator::{Conversation, Generated};
use serde::Deserialize;
use serde_json::json;

pub struct Ollama;

impl Provider for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }
    fn default_url(&self) -> Option<&'static str> {
        Some("http://localhost:11434")
    }
    fn embed(&self, model: &str, texts: &[&str], _: Purpose) -> Option<Payload> {
        Payload::new("/api/embed", json!({"model": model, "input": texts, "truncate": false}))
    }
    fn vectors(&self, body: &[u8]) -> Decoded<Vectors> {
        let Embedded { embeddings, prompt_eval_count } = shape::json(body)?;
        Ok(Vectors { vectors: embeddings, tokens: prompt_eval_count })
    }
    fn chat(
        &self,
        model: &str,
        conversation: &Conversation,
        options: GenerationOptions,
    ) -> Option<Payload> {
        let mut body = json!({
            "model": model,
            "messages": shape::messages(conversation),
            "stream": false,
            "format": shape::answer_schema(),
            // Without the first it cuts what is longer than a few thousand tokens, and does not say so. Of
            // another value than before, it loads the model anew.
            "options": {
                "num_ctx": options.context,
                "num_predict": options.max_output_tokens,
            },
        });
        if let Some(temperature) = options.temperature {
            body["options"]["temperature"] = json!(temperature);
        }
        Payload::new("/api/chat", body)
    }
    fn completion(&self, body: &[u8]) -> Decoded<Generated> {
        let Reply { message, done_reason, prompt_eval_count, eval_count, done } =
            shape::json(body)?;
        if message.content.as_ref().is_none_or(String::is_empty) && !done {
            return Err("It holds no text.".to_owned());
        }
        Ok(Generated {
            text: message.content.unwrap_or_default(),
            is_cut: done_reason.as_deref() == Some("length"),
            ended: None,
            input_tokens: prompt_eval_count,
            output_tokens: eval_count,
        })
    }
    fn stream_event(&self, line: &[u8]) -> Decoded<Delta> {
        let Reply { message, done_reason, prompt_eval_count, eval_count, done } =
            shape::json(line)?;
        Ok(Delta {
            text: message.content,
            is_over: done,
            ended: None,
            is_cut: done_reason.as_deref() == Some("length"),
            input_tokens: prompt_eval_count,
            output_tokens: eval_count,
        })
    }
}

#[derive(Deserialize)]
struct Embedded {
    embeddings: Vec<Vec<f32>>,
    #[serde(default, deserialize_with = "shape::count")]
    prompt_eval_count: Option<u64>,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    message: Message,
    #[serde(default)]
    done: bool,
    #[serde(default, deserialize_with = "shape::word")]
    done_reason: Option<String>,
    #[serde(default, deserialize_with = "shape::count")]
    prompt_eval_count: Option<u64>,
    #[serde(default, deserialize_with = "shape::count")]
    eval_count: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Message {
    #[serde(default, deserialize_with = "shape::content")]
    content: Option<String>,
}
