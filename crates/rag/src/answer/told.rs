//! Answers as JSON tells them.
use super::Citation;
use super::generate::{Checked, Found, Usage};
use serde_json::{Map, Value, json};
use std::ops::Range;

/// Where a passage stands and what all its citations say. As JSON it can wait for an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Characters of the document before the passage.
    char_start: usize,
    told: Map<String, Value>,
}

impl Place {
    /// The passage that begins after so many characters of its document. What is `told` of it is an object; what
    /// is null there is left out.
    pub fn new(char_start: usize, told: Value) -> Self {
        let mut told = match told {
            Value::Object(told) => told,
            _ => Map::new(),
        };
        told.retain(|_, value| !value.is_null());
        Self { char_start, told }
    }

    /// An element of an array of passages, counted from 1. Its offsets count from its own beginning.
    pub fn of_element(ordinal: usize) -> Self {
        Self::new(0, json!({"passage": ordinal}))
    }

    /// What [`Self::read`] reads.
    pub fn to_json(&self) -> Value {
        json!({"char_start": self.char_start, "told": self.told})
    }

    /// Reads what [`Self::to_json`] wrote; `None` for anything else.
    pub fn read(value: &Value) -> Option<Self> {
        let char_start = usize::try_from(value.get("char_start")?.as_u64()?).ok()?;
        Some(Self { char_start, told: value.get("told")?.as_object()?.clone() })
    }

    /// A quote that was found in the passage.
    pub fn verified(&self, found: &Found) -> Value {
        let Found { marker, quote, chars, .. } = found;
        self.cite(*marker, quote, chars, ("verified", json!(true)))
    }

    /// A sentence that was picked from the passage.
    pub fn scored(&self, citation: &Citation) -> Value {
        let Citation { marker, quote, chars, score, .. } = citation;
        let score = json!((f64::from(*score) * 1e4).round() / 1e4);
        self.cite(*marker, quote, chars, ("score", score))
    }

    /// A citation; `chars` is its place in the passage.
    fn cite(
        &self,
        marker: usize,
        quote: &str,
        chars: &Range<usize>,
        (name, value): (&str, Value),
    ) -> Value {
        let mut told = self.told.clone();
        for (key, value) in [
            ("marker", json!(marker)),
            ("quote", json!(quote)),
            ("char_start", json!(self.char_start + chars.start)),
            ("char_end", json!(self.char_start + chars.end)),
            (name, value),
        ] {
            told.insert(key.to_owned(), value);
        }
        Value::Object(told)
    }
}

/// All that a model said.
pub fn claims(claims: &[Checked]) -> Value {
    let claim = |claim: &Checked| json!({"text": claim.text, "markers": claim.markers, "dropped": claim.dropped});
    claims.iter().map(claim).collect()
}

/// What it took `model`.
pub fn usage(model: &str, usage: &Usage) -> Value {
    json!({
        "model": model,
        "requests": usage.requests,
        "passages": usage.passages,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_waited_cites_the_same() {
        let found = Found { marker: 2, passage: 0, quote: "é b".to_owned(), chars: 3..6 };
        let place = Place::new(10, json!({"chunk_id": 7, "section": "A", "page": null}));
        let cited = place.verified(&found);
        assert_eq!(
            cited,
            json!({"chunk_id": 7, "section": "A", "marker": 2, "quote": "é b", "char_start": 13, "char_end": 16, "verified": true})
        );
        let waited = Place::read(&place.to_json()).expect("what was written");
        assert_eq!(waited, place);
        assert_eq!(waited.verified(&found), cited);
        assert_eq!(Place::of_element(3).verified(&found)["passage"], 3);
        for other in [json!(null), json!({}), json!({"char_start": -1, "told": {}}), json!([1])] {
            assert_eq!(Place::read(&other), None, "{other}");
        }
    }
}
