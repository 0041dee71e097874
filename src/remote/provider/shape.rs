//! Shapes that several providers share.
use super::{Conversation, Generated, Manner, Read, Scores, Vectors};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Reads JSON. What the peer sent is not repeated: it may be anything.
pub fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Read<T> {
    serde_json::from_slice(body).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => "It is JSON of another form than expected.".to_owned(),
        _ => "It is no JSON.".to_owned(),
    })
}

/// Counts of tokens under the names that providers use; some use two at once.
#[derive(Debug, Default, Deserialize)]
#[allow(clippy::struct_field_names)] // They are the providers' names.
pub struct Usage {
    prompt_tokens: Option<f64>,
    input_tokens: Option<f64>,
    completion_tokens: Option<f64>,
    output_tokens: Option<f64>,
    total_tokens: Option<f64>,
}

impl Usage {
    pub fn input(&self) -> Option<u64> {
        self.prompt_tokens.or(self.input_tokens).or(self.total_tokens).map(|n| n as u64)
    }
    pub fn output(&self) -> Option<u64> {
        self.completion_tokens.or(self.output_tokens).map(|n| n as u64)
    }
}

#[derive(Deserialize)]
struct Embedded {
    index: Option<usize>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct EmbeddedList {
    data: Vec<Embedded>,
    usage: Option<Usage>,
}

/// `{"data": [{"index", "embedding"}], "usage"}`.
pub fn indexed_vectors(body: &[u8]) -> Read<Vectors> {
    let EmbeddedList { mut data, usage } = json(body)?;
    if data.iter().any(|item| item.index.is_some()) {
        data.sort_by_key(|item| item.index);
        if data.iter().enumerate().any(|(n, item)| item.index != Some(n)) {
            return Err("Its positions are not those of the texts.".to_owned());
        }
    }
    let vectors = data.into_iter().map(|item| item.embedding).collect();
    Ok(Vectors { vectors, tokens: usage.as_ref().and_then(Usage::input) })
}

/// A document's position and score.
#[derive(Deserialize)]
pub struct Scored {
    index: usize,
    relevance_score: Option<f64>,
    score: Option<f64>,
}

/// Pairs of what was read.
pub fn pairs(scored: Vec<Scored>) -> Read<Vec<(usize, f64)>> {
    let pair = |item: Scored| Some((item.index, item.relevance_score.or(item.score)?));
    let pairs: Option<Vec<_>> = scored.into_iter().map(pair).collect();
    pairs.ok_or_else(|| "A document has no score.".to_owned())
}

#[derive(Deserialize)]
struct ScoredList {
    results: Option<Vec<Scored>>,
    data: Option<Vec<Scored>>,
    usage: Option<Usage>,
}

/// `{"results": [{"index", "relevance_score"}], "usage"}`, or `data` for `results`.
pub fn indexed_scores(body: &[u8]) -> Read<Scores> {
    let ScoredList { results, data, usage } = json(body)?;
    let scored = results.or(data).ok_or_else(|| "It holds no scores.".to_owned())?;
    Ok(Scores { scores: pairs(scored)?, tokens: usage.as_ref().and_then(Usage::input) })
}

/// `{"model", "query", "documents", "top_n"}`.
pub fn rerank(model: &str, query: &str, documents: &[&str]) -> Value {
    json!({"model": model, "query": query, "documents": documents, "top_n": documents.len()})
}

/// `{"model", "messages", "max_tokens", "response_format", "temperature"}`, asking for JSON.
pub fn chat(model: &str, conversation: &Conversation, manner: Manner) -> Value {
    let mut body = json!({
        "model": model,
        "messages": messages(conversation),
        "max_tokens": manner.max_output_tokens,
        "response_format": {"type": "json_object"},
    });
    if let Some(temperature) = manner.temperature {
        body["temperature"] = json!(temperature);
    }
    body
}

/// Rules and turns as a list of messages, the rules first.
pub fn messages(conversation: &Conversation) -> Vec<Value> {
    let rules = json!({"role": "system", "content": conversation.system});
    std::iter::once(rules).chain(turns(conversation)).collect()
}

/// Turns as a list of messages.
pub fn turns(conversation: &Conversation) -> impl Iterator<Item = Value> {
    conversation.turns.iter().map(|turn| {
        let role = if turn.is_model { "assistant" } else { "user" };
        json!({"role": role, "content": turn.text})
    })
}

/// A part of a message's content.
#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

/// The texts of a list of parts (`[{"type": "text", "text"}, …]`) put together; parts of other
/// kinds have none.
pub fn parts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let parts: Vec<Part> = Vec::deserialize(deserializer)?;
    Ok(parts.into_iter().map(|part| part.text).collect())
}

/// A reply whose text is empty says nothing that can be used.
pub fn said(text: String, is_cut: bool, usage: Option<&Usage>) -> Generated {
    Generated {
        text,
        is_cut,
        input_tokens: usage.and_then(Usage::input),
        output_tokens: usage.and_then(Usage::output),
    }
}

/// The first of a list.
pub fn first<T: DeserializeOwned>(list: Vec<T>) -> Read<T> {
    list.into_iter().next().ok_or_else(|| "It holds no answer.".to_owned())
}
