//! Shapes that several providers share.
use super::format::{Decoded, GenerationOptions, Scores, Vectors};
use crate::Error;
use crate::model::generator::{Conversation, Generated};
use crate::remote::error_body::without_bom;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// Reads JSON. What the peer sent is not repeated: it may be anything.
pub fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Decoded<T> {
    serde_json::from_slice(without_bom(body)).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => "It is JSON of another form than expected.".to_owned(),
        _ => "It is no JSON.".to_owned(),
    })
}

/// A number, also one in a string. Where it is something else, it is as good as missing: nothing depends on it.
pub fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = match &value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    };
    Ok(number.filter(|number: &f64| *number >= 0.0).map(|number| number as u64))
}

/// A text that nothing depends on.
pub fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_str().map(str::to_owned))
}

/// Something that nothing depends on; of another form, it is as good as missing.
pub fn aside<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// Counts of tokens under the names that providers use; some use two at once.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_field_names)] // They are the providers' names.
pub struct TokenUsage {
    #[serde(deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    completion_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    output_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    total_tokens: Option<u64>,
}

impl TokenUsage {
    pub fn input(&self) -> Option<u64> {
        self.prompt_tokens.or(self.input_tokens).or(self.total_tokens)
    }
    pub fn output(&self) -> Option<u64> {
        self.completion_tokens.or(self.output_tokens)
    }
}

#[derive(Deserialize)]
struct Embedded {
    #[serde(default, deserialize_with = "count")]
    index: Option<u64>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct EmbeddedList {
    data: Vec<Embedded>,
    #[serde(default, deserialize_with = "aside")]
    usage: Option<TokenUsage>,
}

/// `{"data": [{"index", "embedding"}], "usage"}`. What has no index stands where one is missing: some leave
/// out 0, some all.
pub fn indexed_vectors(body: &[u8]) -> Decoded<Vectors> {
    let EmbeddedList { data, usage } = json(body)?;
    let mut places: Vec<Option<Vec<f32>>> = vec![None; data.len()];
    let (named, unnamed): (Vec<_>, Vec<_>) =
        data.into_iter().partition(|item| item.index.is_some());
    for item in named {
        match item.index.and_then(|index| places.get_mut(index as usize)) {
            Some(place @ None) => *place = Some(item.embedding),
            _ => return Err("Its positions are not those of the texts.".to_owned()),
        }
    }
    let free = places.iter_mut().filter(|place| place.is_none());
    for (place, item) in free.zip(unnamed) {
        *place = Some(item.embedding);
    }
    let vectors = places.into_iter().flatten().collect();
    Ok(Vectors { vectors, tokens: usage.as_ref().and_then(TokenUsage::input) })
}

/// A document's position and score.
#[derive(Deserialize)]
pub struct Scored {
    #[serde(default, deserialize_with = "count")]
    index: Option<u64>,
    relevance_score: Option<f64>,
    score: Option<f64>,
}

/// Pairs of what was read. One without a position has the one that is missing; of several, nobody knows: they
/// come in the order of their scores.
pub fn pairs(scored: Vec<Scored>) -> Decoded<Vec<(usize, f64)>> {
    let positions: Vec<Option<usize>> =
        scored.iter().map(|item| item.index.map(|index| index as usize)).collect();
    if positions.len() > 1 && positions.iter().filter(|position| position.is_none()).count() > 1 {
        return Err("Its scores do not say which documents they are of.".to_owned());
    }
    let mut all = 0..positions.len();
    let missing = all.find(|position| !positions.contains(&Some(*position))).unwrap_or(0);
    let pair = |(item, position): (Scored, Option<usize>)| {
        Some((position.unwrap_or(missing), item.relevance_score.or(item.score)?))
    };
    let pairs: Option<Vec<_>> = scored.into_iter().zip(positions.clone()).map(pair).collect();
    pairs.ok_or_else(|| "A document has no score.".to_owned())
}

#[derive(Deserialize)]
struct ScoredList {
    results: Option<Vec<Scored>>,
    data: Option<Vec<Scored>>,
    #[serde(default, deserialize_with = "aside")]
    usage: Option<TokenUsage>,
}

/// `{"results": [{"index", "relevance_score"}], "usage"}`, or `data` for `results`.
pub fn indexed_scores(body: &[u8]) -> Decoded<Scores> {
    let ScoredList { results, data, usage } = json(body)?;
    let scored = results.or(data).ok_or_else(|| "It holds no scores.".to_owned())?;
    Ok(Scores { scores: pairs(scored)?, tokens: usage.as_ref().and_then(TokenUsage::input) })
}

/// `{"model", "query", "documents", "top_n"}`.
pub fn rerank(model: &str, query: &str, documents: &[&str]) -> Value {
    json!({"model": model, "query": query, "documents": documents, "top_n": documents.len()})
}

/// `{"model", "messages", "max_tokens", "response_format", "temperature"}`, asking for an answer in its form.
pub fn chat(model: &str, conversation: &Conversation, options: GenerationOptions) -> Value {
    let mut body = json!({
        "model": model,
        "messages": messages(conversation),
        "max_tokens": options.max_output_tokens,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": true, "schema": answer_schema()},
        },
    });
    if let Some(temperature) = options.temperature {
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

/// The text of a message's content: as such, or of its parts that are text. Those of thoughts are none, whatever they are called.
pub fn text_of(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(text_of).collect()),
        Value::Object(part) => {
            let kind = part.get("type").and_then(Value::as_str);
            let is_text =
                kind.is_none_or(|kind| ["text", "output_text", "text_delta"].contains(&kind));
            part.get("text").filter(|_| is_text)?.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// Why an answer ends that the provider's filter stops.
pub const FILTERED: &str = "The provider's content filter stopped it.";
/// Why one ends that the model does not want to give.
pub const DECLINED: &str = "It declines to answer.";

/// The error for an answer that ends before it is one.
pub fn unfinished(why: String) -> Error {
    Error::model("the model did not finish its answer")
        .with_detail(why)
        .with_hint("Ask something else, or use another model.")
}

/// A text, as such or as a list of parts.
pub fn content<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(text_of(&Value::deserialize(deserializer)?))
}

/// The form of an answer. Members are written in the order of their names, so that quotes come first.
pub fn answer_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "quotes": {"type": "array", "items": {"type": "string"}, "maxItems": MAX_QUOTES},
            "response": {"type": "string"},
        },
        "required": ["quotes", "response"],
        "additionalProperties": false,
    })
}

/// Most quotes of an answer; without a limit small models quote until they are cut.
const MAX_QUOTES: u32 = 3;

/// A reply whose text is empty says nothing that can be used.
pub fn generated(text: String, is_cut: bool, usage: Option<&TokenUsage>) -> Generated {
    Generated {
        text,
        is_cut,
        ended: None,
        input_tokens: usage.and_then(TokenUsage::input),
        output_tokens: usage.and_then(TokenUsage::output),
    }
}

/// The first of a list.
pub fn first<T: DeserializeOwned>(list: Vec<T>) -> Decoded<T> {
    list.into_iter().next().ok_or_else(|| "It holds no answer.".to_owned())
}
