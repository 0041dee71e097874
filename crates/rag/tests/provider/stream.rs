//! The answers of generators, bit by bit.
use serde_json::{Value, json};

/// Letters of a bit, as a token would have them.
const LETTERS: usize = 7;

/// The lines of a response that a request wants streamed, each in the form of its provider, made of the response
/// it would get otherwise; `None` where it is not wanted or not to be had.
pub fn lines(path: &str, request: &Value, response: &[u8]) -> Option<Vec<String>> {
    if request["stream"] != json!(true) {
        return None;
    }
    let body: Value = serde_json::from_slice(response).ok()?;
    let path = path.split('?').next().unwrap_or_default();
    let event = |value: Value| format!("data: {value}\n\n");
    let named = |value: Value| {
        format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or_default())
    };
    let lines = match path.rsplit('/').next().unwrap_or_default() {
        "completions" => {
            let choice = &body["choices"][0];
            let chunk = |delta: Value, finish: &Value| {
                event(json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
            };
            let mut lines = vec![
                ": a comment\n\n".to_owned(),
                chunk(json!({"role": "assistant", "content": ""}), &Value::Null),
            ];
            lines.extend(
                bits(&choice["message"]["content"])
                    .map(|bit| chunk(json!({"content": bit}), &Value::Null)),
            );
            lines.push(chunk(json!({}), &choice["finish_reason"]));
            lines.push(event(json!({"choices": [], "usage": body["usage"]})));
            lines.push("data: [DONE]\n\n".to_owned());
            lines
        }
        "messages" => {
            let input = json!({"input_tokens": body["usage"]["input_tokens"], "output_tokens": 1});
            let mut lines =
                vec![named(json!({"type": "message_start", "message": {"usage": input}}))];
            lines.push(named(json!({"type": "ping"})));
            let delta = |bit| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": bit}});
            lines.extend(bits(&body["content"][0]["text"]).map(|bit| named(delta(bit))));
            let usage = json!({"output_tokens": body["usage"]["output_tokens"]});
            lines.push(named(json!({"type": "message_delta", "delta": {"stop_reason": body["stop_reason"]}, "usage": usage})));
            lines.push(named(json!({"type": "message_stop"})));
            lines
        }
        "chat" if path.ends_with("/api/chat") => {
            let line = |value: Value| format!("{value}\n");
            let part = |bit: String| {
                line(json!({"message": {"role": "assistant", "content": bit}, "done": false}))
            };
            let mut lines: Vec<String> = bits(&body["message"]["content"]).map(part).collect();
            let mut last = body.clone();
            last["message"]["content"] = json!("");
            lines.push(line(last));
            lines
        }
        "chat" => {
            let mut lines = vec![named(
                json!({"type": "message-start", "delta": {"message": {"role": "assistant"}}}),
            )];
            let delta = |bit| json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": bit}}}});
            lines.extend(bits(&body["message"]["content"][0]["text"]).map(|bit| named(delta(bit))));
            let end = json!({"finish_reason": body["finish_reason"], "usage": body["usage"]});
            lines.push(named(json!({"type": "message-end", "delta": end})));
            lines
        }
        _ => return None,
    };
    Some(lines)
}

fn bits(text: &Value) -> impl Iterator<Item = String> {
    let letters: Vec<char> = text.as_str().unwrap_or_default().chars().collect();
    let bits: Vec<String> = letters.chunks(LETTERS).map(|bit| bit.iter().collect()).collect();
    bits.into_iter()
}
