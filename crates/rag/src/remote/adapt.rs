//! Parameters that a provider can do without, left out or renamed when it says that it does not take them.
use serde_json::{Map, Value};

/// Something that requests carry only because most providers know it.
struct Optional {
    name: &'static str,
    /// The name that stands for it instead; none: it is left out.
    other: Option<&'static str>,
}

/// The position of each is its bit in what is remembered, so that none may change its place.
const OPTIONAL: [Optional; 7] = [
    Optional { name: "temperature", other: None },
    Optional { name: "response_format", other: None },
    Optional { name: "max_tokens", other: Some("max_completion_tokens") },
    Optional { name: "encoding_format", other: None },
    Optional { name: "stream_options", other: None },
    Optional { name: "top_n", other: None },
    Optional { name: "return_documents", other: None },
];

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
        let bit = OPTIONAL.iter().position(is_it)?;
        (self.0 & 1 << bit == 0).then_some(Self(self.0 | 1 << bit))
    }

    /// Adapts a request's body. What the model's own parameters ask for stays.
    pub fn apply(self, body: &mut Map<String, Value>, own: &Map<String, Value>) {
        for (bit, Optional { name, other }) in OPTIONAL.iter().enumerate() {
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
