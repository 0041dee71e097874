//! Parameters that a provider can do without, left out or renamed when it says that it does not take them.
use serde_json::{Map, Value, json};

/// Something that requests carry only because most providers know it.
struct Optional {
    name: &'static str,
    /// The name that stands for it instead; none: it is left out.
    other: Option<&'static str>,
}

/// The position of each is its bit in what is remembered, so that none may change its place.
const OPTIONAL: [Optional; 10] = [
    Optional { name: "temperature", other: None },
    Optional { name: "response_format", other: None },
    Optional { name: "max_tokens", other: Some("max_completion_tokens") },
    Optional { name: "encoding_format", other: None },
    Optional { name: "stream_options", other: None },
    Optional { name: "top_n", other: None },
    Optional { name: "return_documents", other: None },
    Optional { name: "json_schema", other: Some("json_object") },
    Optional { name: "format", other: Some("json") },
    Optional { name: "tools", other: None },
];
/// Bits of those that ask for the form of an answer, for which there is another way: the word JSON, or the rules alone.
const SCHEMA: usize = 7;
const FORMAT: usize = 8;
const TOOLS: usize = 9;
const RESPONSE_FORMAT: usize = 1;

/// Which of them are adapted to a provider; bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Adapted(pub u64);

impl Adapted {
    /// These and the parameter of a request that a refusal with these words, in lower case, is about; none
    /// of the model's `own`, which were asked for.
    pub fn by_message(
        self,
        lower: &str,
        body: &Map<String, Value>,
        own: &Map<String, Value>,
    ) -> Option<Self> {
        let is_it = |optional: &Optional| {
            body.contains_key(optional.name)
                && !own.contains_key(optional.name)
                && is_named(lower, optional.name)
                && optional.other.is_none_or(|other| is_named(lower, other))
        };
        let bit = self
            .form_by_message(lower, body, own)
            .or_else(|| OPTIONAL[..SCHEMA].iter().position(is_it))?;
        (self.0 & 1 << bit == 0).then_some(Self(self.0 | 1 << bit))
    }

    /// Which way of asking for the form of an answer a refusal is about.
    fn form_by_message(
        self,
        lower: &str,
        body: &Map<String, Value>,
        own: &Map<String, Value>,
    ) -> Option<usize> {
        let names = |names: &[&str]| names.iter().any(|name| is_named(lower, name));
        let has = |name: &str| body.contains_key(name) && !own.contains_key(name);
        let has_schema =
            has("response_format") && body["response_format"].get("json_schema").is_some();
        let is_about_schema = names(&[
            "json_schema",
            "json_object",
            "schema",
            "strict",
            "maxitems",
            "additionalproperties",
        ]) || names(&["response_format"]) && names(&["type"]);
        if has_schema && is_about_schema {
            let is_plain = self.0 & 1 << SCHEMA != 0;
            return Some(if is_plain { RESPONSE_FORMAT } else { SCHEMA });
        }
        if has("format") && body["format"].is_object() && names(&["format", "schema"]) {
            return Some(FORMAT);
        }
        (has("tools") && names(&["tools", "tool", "tool_choice"])).then_some(TOOLS)
    }

    /// Asks for the form of an answer in another way.
    fn apply_form(self, body: &mut Map<String, Value>, own: &Map<String, Value>) {
        let is_set = |bit: usize, name: &str| self.0 & 1 << bit != 0 && !own.contains_key(name);
        if is_set(SCHEMA, "response_format")
            && body.get("response_format").is_some_and(|format| format.get("json_schema").is_some())
        {
            body.insert("response_format".to_owned(), json!({"type": "json_object"}));
        }
        if is_set(FORMAT, "format") && body.get("format").is_some_and(Value::is_object) {
            body.insert("format".to_owned(), json!("json"));
        }
        if is_set(TOOLS, "tools") {
            body.remove("tools");
            body.remove("tool_choice");
        }
    }

    /// Adapts a request's body. What the model's own parameters ask for stays.
    pub fn apply(self, body: &mut Map<String, Value>, own: &Map<String, Value>) {
        self.apply_form(body, own);
        for (bit, Optional { name, other }) in OPTIONAL[..SCHEMA].iter().enumerate() {
            if self.0 & 1 << bit == 0 || own.contains_key(*name) {
                continue;
            }
            if let (Some(value), Some(other)) = (body.remove(*name), other) {
                body.entry(*other).or_insert(value);
            }
        }
    }

    /// As shown, and as the catalog keeps them.
    pub fn names(self) -> Vec<String> {
        let set = OPTIONAL.iter().enumerate().filter(|(bit, _)| self.0 & 1 << bit != 0);
        let name = |optional: &Optional| match optional.other {
            Some(other) => format!("{other} for {}", optional.name),
            None => format!("no {}", optional.name),
        };
        set.map(|(_, optional)| name(optional)).collect()
    }

    /// Those of these names; others are of another version.
    pub fn by_names(names: &[String]) -> Self {
        let all = (0..OPTIONAL.len()).map(|bit| Self(1 << bit));
        let known = all.filter(|one| names.contains(&one.names()[0]));
        Self(known.fold(0, |bits, one| bits | one.0))
    }
}

/// Whether words name a parameter: not as a part of another name.
fn is_named(lower: &str, name: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    lower.match_indices(name).any(|(at, _)| {
        !lower[..at].ends_with(is_name) && !lower[at + name.len()..].starts_with(is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_names_what_it_is_about() {
        let body = json!({"model": "m", "max_tokens": 9, "temperature": 0.1});
        let Value::Object(body) = body else { unreachable!() };
        let found = |words: &str| {
            Adapted::default()
                .by_message(words, &body, &Map::new())
                .map_or(Vec::new(), Adapted::names)
        };
        assert_eq!(found("`temperature` is deprecated for this model"), ["no temperature"]);
        let renamed = "unsupported parameter: 'max_tokens' is not supported with this model. use 'max_completion_tokens' instead.";
        assert_eq!(found(renamed), ["max_completion_tokens for max_tokens"]);
        for words in [
            "",
            "max_tokens must be at most 4",
            "body: temperatures",
            "no response_format here",
            "model",
        ] {
            assert!(found(words).is_empty(), "{words}");
        }
    }

    #[test]
    fn the_form_of_an_answer_is_asked_for_in_another_way() {
        let apply = |adapted: Adapted, body: &Map<String, Value>| {
            let mut body = body.clone();
            adapted.apply(&mut body, &Map::new());
            Value::Object(body)
        };
        let object = |value: Value| value.as_object().unwrap().clone();
        let body = object(json!({"response_format": {"type": "json_schema", "json_schema": {}}}));
        let refusal = "response_format.type: input should be 'text' or 'json_object'";
        let first = Adapted::default().by_message(refusal, &body, &Map::new()).unwrap();
        assert_eq!(first.names(), ["json_object for json_schema"]);
        assert_eq!(apply(first, &body), json!({"response_format": {"type": "json_object"}}));
        let second = first.by_message("unknown field response_format", &body, &Map::new()).unwrap();
        assert_eq!(apply(second, &body), json!({}));
        assert_eq!(Adapted::by_names(&second.names()), second);
        assert_eq!(second.by_message("unknown field response_format", &body, &Map::new()), None);
        let body = object(json!({"format": {"type": "object"}}));
        let refusal =
            "json: cannot unmarshal object into go struct field chatrequest.format of type string";
        let plain = Adapted::default().by_message(refusal, &body, &Map::new()).unwrap();
        assert_eq!(apply(plain, &body), json!({"format": "json"}));
        let body = object(json!({"tools": [], "tool_choice": {"type": "tool"}, "model": "m"}));
        let refusal = "thinking may not be enabled when tool_choice forces tool use.";
        let without = Adapted::default().by_message(refusal, &body, &Map::new()).unwrap();
        assert_eq!(apply(without, &body), json!({"model": "m"}));
        let own = object(json!({"tools": []}));
        assert_eq!(Adapted::default().by_message(refusal, &body, &own), None);
    }

    #[test]
    fn adapted_requests_keep_what_was_asked_for() {
        let adapted = Adapted::by_names(&[
            "no temperature".into(),
            "max_completion_tokens for max_tokens".into(),
            "of later".into(),
        ]);
        assert_eq!(Adapted::by_names(&adapted.names()), adapted);
        let apply = |own: Value| {
            let Value::Object(mut body) = json!({"max_tokens": 9, "temperature": 0.1}) else {
                unreachable!()
            };
            let Value::Object(own) = own else { unreachable!() };
            adapted.apply(&mut body, &own);
            Value::Object(body)
        };
        assert_eq!(apply(json!({})), json!({"max_completion_tokens": 9}));
        assert_eq!(
            apply(json!({"temperature": 0.1})),
            json!({"max_completion_tokens": 9, "temperature": 0.1})
        );
        // Once is enough.
        let Value::Object(body) = json!({"temperature": 1}) else { unreachable!() };
        assert_eq!(adapted.by_message("temperature", &body, &Map::new()), None);
    }
}
