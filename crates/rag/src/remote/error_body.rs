//! The error text in a provider's response, wherever the body has it.
use super::secret::Secret;
use serde_json::Value;

/// Most characters of a provider's own words that an error repeats.
const MAX_QUOTED_CHARS: usize = 300;
/// How deep and wide to look for them.
const MAX_DEPTH: usize = 8;
const MAX_PARTS: usize = 12;
/// Letters of a key that show which key it is.
const KEY_LETTERS: usize = 4;

/// Fields that say what is wrong, in the order in which they are shown. What repeats the request, such as
/// `input`, is none of them.
const FIELDS: [&str; 22] = [
    "error",
    "errors",
    "code",
    "type",
    "error_type",
    "status",
    "title",
    "message",
    "msg",
    "detail",
    "details",
    "error_msg",
    "error_message",
    "error_description",
    "description",
    "reason",
    "param",
    "loc",
    "metadata",
    "raw",
    "fault",
    "faultstring",
];
/// How many of them, at the start, name the kind of an error.
const KIND_FIELDS: usize = 7;

/// The error that a body describes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ErrorBody {
    /// On one line, bounded.
    pub text: Option<String>,
    /// All of them in lower case, for looking things up.
    pub lower: String,
    /// The status that the body names.
    pub status: Option<u16>,
}

/// Reads the error that a body describes.
pub(super) fn read_error(body: &[u8], secret: Option<&Secret>) -> ErrorBody {
    let text = match json(body) {
        Some(value) => {
            let mut parts = Vec::new();
            collect(&value, MAX_DEPTH, &mut parts);
            (!parts.is_empty()).then(|| parts.join(": "))
        }
        None => without_tags(body),
    };
    let Some(text) = text else { return ErrorBody::default() };
    let text = secret.map_or_else(|| text.clone(), |secret| redacted(&text, secret));
    let status = json(body).as_ref().and_then(status);
    ErrorBody { lower: text.to_lowercase(), text: Some(single_line(&text)), status }
}

/// The failure that a response of success is, if its body is about one.
pub(super) fn refusal(body: &[u8], secret: Option<&Secret>) -> Option<ErrorBody> {
    let value = json(body)?;
    let value = if let Value::Array(items) = &value { items.first()? } else { &value };
    let is_error = |name: &str| match value.get(name) {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Bool(is)) => *is,
        _ => false,
    };
    let names = ["error", "errors", "error_msg", "error_message", "fault"];
    let is_code = || status(value).is_some_and(|status| status >= 400);
    // FastAPI, and servers that give no more than a message.
    let is_bare = || value.get("data").is_none() && (is_error("detail") || is_code());
    (names.into_iter().any(is_error) || is_bare()).then(|| read_error(body, secret))
}

fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(without_bom(body)).ok()
}

/// A body without the mark that some servers put before UTF-8.
pub(super) fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

fn collect(value: &Value, depth: usize, parts: &mut Vec<String>) {
    if depth == 0 || parts.len() >= MAX_PARTS {
        return;
    }
    match value {
        Value::String(text) => {
            // A gateway quotes the error of the server behind it.
            if let Some(inner) =
                Some(text).filter(|t| t.starts_with(['{', '['])).and_then(|t| json(t.as_bytes()))
            {
                return collect(&inner, depth - 1, parts);
            }
            let text = text.trim();
            if !text.is_empty() && !parts.iter().any(|part| part == text) {
                parts.push(text.to_owned());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, depth - 1, parts)),
        Value::Object(fields) => {
            // Fields beside an error object repeat it; fields beside an error text belong to it.
            let is_text = |name: &str| fields.get(name).is_some_and(Value::is_string);
            let errors = || FIELDS[..2].iter().copied();
            let names = errors().filter(|name| !is_text(name));
            let names = names.chain(FIELDS[2..KIND_FIELDS].iter().copied());
            let names = names.chain(errors().filter(|name| is_text(name)));
            let names = names.chain(FIELDS[KIND_FIELDS..].iter().copied());
            for value in names.filter_map(|name| fields.get(name)) {
                collect(value, depth - 1, parts);
            }
        }
        _ => {}
    }
}

/// A status of HTTP that the body names, as a number or a string of one.
fn status(value: &Value) -> Option<u16> {
    match value {
        Value::Array(items) => status(items.first()?),
        Value::Object(fields) => {
            let inner = fields.get("error").filter(|error| error.is_object() || error.is_array());
            inner.and_then(status).or_else(|| {
                let names =
                    ["code", "status", "status_code", "statusCode", "error_code", "http_code"];
                names.into_iter().find_map(|name| number(fields.get(name)?))
            })
        }
        _ => None,
    }
}

fn number(value: &Value) -> Option<u16> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        value => value.as_u64()?,
    };
    u16::try_from(number).ok().filter(|status| (100..600).contains(status))
}

/// Text that is no JSON, without tags.
fn without_tags(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned();
    let (mut without_tags, mut is_tag) = (String::new(), false);
    for c in text.trim_start_matches('\u{feff}').chars() {
        match c {
            '<' => is_tag = true,
            '>' if is_tag => {
                is_tag = false;
                without_tags.push(' ');
            }
            '\u{fffd}' => {}
            c if !is_tag => without_tags.push(c),
            _ => {}
        }
    }
    let words: Vec<&str> = without_tags.split_whitespace().collect();
    // A body that is mostly no text, such as truncated JSON, says nothing.
    let is_said = words.first().is_some_and(|word| word.starts_with(char::is_alphabetic));
    is_said.then(|| words.join(" "))
}

/// The text without the key, and without what shows a part of it: providers repeat its ends.
fn redacted(text: &str, secret: &Secret) -> String {
    let text = secret.redact(text);
    let is_of_key = |word: &str| {
        let is_masked = word.contains("**") || word.contains("..") || word.contains('…');
        is_masked && secret.shares(word, KEY_LETTERS)
    };
    let pieces = text.split_inclusive(|c: char| c.is_whitespace() || "\"'`,;()".contains(c));
    pieces.map(|word| if is_of_key(word) { "*** " } else { word }).collect()
}

/// A peer's text on one line, without control characters, cut after [`MAX_QUOTED_CHARS`].
pub(super) fn single_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut single_line: String = text.chars().take(MAX_QUOTED_CHARS).map(clean).collect();
    if text.chars().nth(MAX_QUOTED_CHARS).is_some() {
        single_line.push('…');
    }
    single_line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> Option<String> {
        read_error(body.as_bytes(), None).text
    }

    #[test]
    fn the_providers_words_are_found_wherever_they_are() {
        for (body, said) in [
            (r#"{"error":{"message":"a","type":"b"}}"#, "b: a"),
            (r#"{"error":"a\nb","error_type":"Validation"}"#, "Validation: a b"),
            (r#"{"message":"a"}"#, "a"),
            (r#"{"detail":"a"}"#, "a"),
            (
                r#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]"#,
                "INVALID_ARGUMENT: API key not valid",
            ),
            (
                r#"{"detail":[{"loc":["body","temperature"],"msg":"Extra inputs are not permitted","input":"a secret text"}]}"#,
                "Extra inputs are not permitted: body: temperature",
            ),
            (
                r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":\"too fast\"}"}}}"#,
                "Provider returned error: too fast",
            ),
            ("\u{feff}{\"error\":\"a\"}", "a"),
            ("<html><title>FailureKind in</title><p>please</html>", "FailureKind in please"),
            ("upstream connect error", "upstream connect error"),
        ] {
            assert_eq!(text(body).as_deref(), Some(said), "{body}");
        }
        for body in ["", "{}", "{\"data\": [1, 2", "\u{0}\u{1}"] {
            assert_eq!(text(body), None, "{body:?}");
        }
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(5000));
        assert_eq!(text(&long).unwrap().chars().count(), MAX_QUOTED_CHARS + 1);
    }

    #[test]
    fn a_response_of_success_can_be_a_failure() {
        let of = |body: &str| refusal(body.as_bytes(), None).map(|read_error| read_error.status);
        for (body, found) in [
            (r#"{"error":{"message":"slow down","code":429}}"#, Some(Some(429))),
            (r#"[{"error":{"message":"slow down","code":"429"}}]"#, Some(Some(429))),
            (r#"{"error":"no such model"}"#, Some(None)),
            (r#"{"code":401,"message":"no"}"#, Some(Some(401))),
            (r#"{"detail":"no"}"#, Some(None)),
            (r#"{"error":null,"data":[]}"#, None),
            (r#"{"error":{},"data":[]}"#, None),
            (r#"{"hello":[1,2,3]}"#, None),
            ("[[0.5]]", None),
            ("<html>", None),
        ] {
            assert_eq!(of(body), found, "{body}");
        }
    }

    #[test]
    fn a_key_that_is_shown_in_part_is_not_repeated() {
        let secret = Secret::new("sk-proj-abcdefghwxyz").unwrap();
        let body = r#"{"error":{"message":"Incorrect API key provided: sk-proj-*****wxyz. You can find it at https://a.example"}}"#;
        let said = read_error(body.as_bytes(), Some(&secret)).text.unwrap();
        assert!(!said.contains("wxyz") && said.contains("You can find it"), "{said}");
    }
}
