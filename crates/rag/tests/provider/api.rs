//! The answers of well-behaved providers, and those that are wrong in what they say.
//!
//! Vectors mean something: texts that share words are near each other. The reranker counts shared words,
//! and the generator quotes the sentence that shares most words with the question.
use serde_json::{Value, json};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Length of vectors unless the request or the fault says otherwise.
pub const DIMENSIONS: usize = 8;

/// The body for a request, or `None` for a path that no provider has.
pub fn answer(path: &str, body: &Value, fault: &Value) -> Option<Vec<u8>> {
    // A reply that is given may be cut, too.
    let is_cut = fault["cut"] == json!(true);
    let name = if is_cut { "cut" } else { fault.as_str().unwrap_or_default() };
    match name {
        "html" => return Some(b"<html>welcome</html>".to_vec()),
        "empty" => return Some(Vec::new()),
        "invalid_utf8" => return Some(b"{\"data\": \"\xff\xfe\"}".to_vec()),
        "error_200" => {
            return Some(
                br#"{"error":{"message":"Rate limit exceeded: free tier","code":429}}"#.to_vec(),
            );
        }
        "other_json" => return Some(b"{\"hello\": [1, 2, 3]}".to_vec()),
        _ => {}
    }
    let path = path.split('?').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let text = match last {
        "embeddings" => openai_embeddings(body, name),
        "embed" if body.get("inputs").is_some() => vectors(&strings(&body["inputs"]), body, name),
        "embed" if body.get("texts").is_some() => {
            let vectors = vectors(&strings(&body["texts"]), body, name);
            format!(r#"{{"embeddings":{{"float":{vectors}}},"meta":{{"billed_units":{{"input_tokens":7}}}}}}"#)
        }
        "embed" => {
            let vectors = vectors(&strings(&body["input"]), body, name);
            format!(r#"{{"embeddings":{vectors},"prompt_eval_count":7}}"#)
        }
        "rerank" if body.get("texts").is_some() => {
            let scored = scores(body, "texts", "score", name);
            Value::Array(scored).to_string()
        }
        "rerank" => {
            let field = if body.get("top_n").is_some() { "results" } else { "data" };
            let scored = scores(body, "documents", "relevance_score", name);
            let tokens = if name == "usage_strings" { json!("7") } else { json!(7) };
            json!({field: scored, "usage": {"total_tokens": tokens}}).to_string()
        }
        "completions" => {
            let text = say(body, fault);
            let finish = if name == "cut" { "length" } else { "stop" };
            json!({
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
                "usage": {"prompt_tokens": 70, "completion_tokens": 7, "total_tokens": 77},
            })
            .to_string()
        }
        "messages" => json!({
            "type": "message", "role": "assistant",
            "content": [{"type": "text", "text": say(body, fault)}],
            "stop_reason": if name == "cut" { "max_tokens" } else { "end_turn" },
            "usage": {"input_tokens": 70, "output_tokens": 7},
        })
        .to_string(),
        "chat" if path.ends_with("/api/chat") => json!({
            "message": {"role": "assistant", "content": say(body, fault)},
            "done": true, "done_reason": if name == "cut" { "length" } else { "stop" },
            "prompt_eval_count": 70, "eval_count": 7,
        })
        .to_string(),
        "chat" => json!({
            "message": {"role": "assistant", "content": [{"type": "text", "text": say(body, fault)}]},
            "finish_reason": if name == "cut" { "MAX_TOKENS" } else { "COMPLETE" },
            "usage": {"tokens": {"input_tokens": 70, "output_tokens": 7}},
        })
        .to_string(),
        _ => return None,
    };
    Some(text.into_bytes())
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn openai_embeddings(body: &Value, fault: &str) -> String {
    let vectors = vectors(&strings(&body["input"]), body, fault);
    let vectors: Result<Vec<Value>, _> = serde_json::from_str(&vectors);
    let Ok(vectors) = vectors else {
        return r#"{"data":[{"index":0,"embedding":[NaN,1.0]}]}"#.to_owned();
    };
    // In another order than asked for, which is allowed.
    let data = vectors.into_iter().enumerate().rev().map(|(i, vector)| {
        let index = if fault == "repeated_index" { 0 } else { i };
        let mut item = json!({"object": "embedding", "index": index, "embedding": vector});
        // The third version of protocol buffers leaves out what is zero.
        if fault == "no_zero_index" && i == 0 || fault == "no_index" {
            item.as_object_mut().expect("an object").remove("index");
        }
        item
    });
    let mut data: Vec<Value> = data.collect();
    if fault == "no_index" {
        data.reverse();
    }
    let tokens = if fault == "usage_strings" { json!("7") } else { json!(7) };
    json!({"object": "list", "data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
        .to_string()
}

/// A JSON array of vectors, right or wrong.
fn vectors(texts: &[&str], body: &Value, fault: &str) -> String {
    let asked = body.get("dimensions").and_then(Value::as_u64).map(|n| n as usize);
    let dimensions = asked.unwrap_or(DIMENSIONS) + usize::from(fault == "wrong_dimensions");
    let mut vectors: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, dimensions)).collect();
    match fault {
        "wrong_count" => {
            vectors.pop();
        }
        "one_more" => vectors.push(vec![1.0; dimensions]),
        // As directions the same.
        "long" => vectors.iter_mut().flatten().for_each(|x| *x *= 1e9),
        "short" => vectors.iter_mut().flatten().for_each(|x| *x *= 1e-9),
        "zeros" => vectors.fill(vec![0.0; dimensions]),
        "nan" => return "[[NaN, 1.0]]".to_owned(),
        "infinite" => return format!("[{}]", vec!["[1e99,1,1,1,1,1,1,1]"; texts.len()].join(",")),
        "nulls" => return format!("[{}]", vec!["[null,1,1,1,1,1,1,1]"; texts.len()].join(",")),
        _ => {}
    }
    json!(vectors).to_string()
}

/// Words of a text, each counted at a place of its own.
pub fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.01; dimensions];
    for word in words(text) {
        let mut hasher = DefaultHasher::new();
        word.hash(&mut hasher);
        vector[hasher.finish() as usize % dimensions] += 1.0;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

fn words(text: &str) -> HashSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2);
    words.map(str::to_lowercase).collect()
}

fn scores(body: &Value, list: &str, name: &str, fault: &str) -> Vec<Value> {
    let query = words(body["query"].as_str().unwrap_or_default());
    let score = |document: &&str| words(document).intersection(&query).count() as f64 / 10.0;
    let documents = strings(&body[list]);
    let mut scored: Vec<Value> =
        (0..documents.len()).map(|i| json!({"index": i, name: score(&documents[i])})).collect();
    match fault {
        "wrong_count" => {
            scored.pop();
        }
        "repeated_index" => scored.iter_mut().for_each(|item| item["index"] = json!(0)),
        "nulls" => scored.iter_mut().for_each(|item| item[name] = Value::Null),
        "beyond" => scored.iter_mut().for_each(|item| item["index"] = json!(99)),
        _ => {}
    }
    scored.sort_by(|a, b| {
        b[name].as_f64().unwrap_or(0.0).total_cmp(&a[name].as_f64().unwrap_or(0.0))
    });
    if fault == "best_two" {
        scored.truncate(2);
    }
    let is_without =
        |item: &Value| fault == "no_index" || fault == "no_zero_index" && item["index"] == 0;
    for item in scored.iter_mut().filter(|item| is_without(item)) {
        item.as_object_mut().expect("an object").remove("index");
    }
    scored
}

/// What a generator says: what the fault says, or an honest answer.
fn say(body: &Value, fault: &Value) -> String {
    if let Some(text) = fault.get("say") {
        return text.as_str().map_or_else(|| text.to_string(), str::to_owned);
    }
    let user = body["messages"].as_array().into_iter().flatten().filter(|m| m["role"] == "user");
    let user = { user }.find_map(|m| m["content"].as_str()).unwrap_or_default();
    let question = words(user.rsplit("Question: ").next().unwrap_or_default());
    let shared = |text: &str| words(text).intersection(&question).count();
    let best = passages(user)
        .into_iter()
        .flat_map(|text| text.split_inclusive(". "))
        .max_by_key(|sentence| shared(sentence))
        .filter(|sentence| shared(sentence) > 0);
    let quote = best.map_or("", str::trim);
    let quotes: Vec<&str> = Some(quote).into_iter().filter(|quote| !quote.is_empty()).collect();
    // In the order of the form, whatever that of the names is.
    format!(r#"{{"quotes":{},"response":{}}}"#, json!(quotes), json!(quote))
}

/// Texts of a prompt's passages.
fn passages(user: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = user;
    while let Some(open) = rest.find("[passage ") {
        let Some((head, after)) = rest[open + 9..].split_once("]\n") else { break };
        let Some((number, key)) = head.split_once(' ') else { break };
        let end = format!("\n[end {number} {key}]");
        let Some(close) = after.find(&end) else { break };
        found.push(&after[..close]);
        rest = &after[close + end.len()..];
    }
    found
}
