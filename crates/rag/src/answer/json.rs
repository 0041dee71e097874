//! Answers as JSON.
use super::written::{CheckedClaim, Usage, VerifiedBy, VerifiedQuote};
use super::{Answer, Citation};
use crate::extract::narrow;
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::ops::Range;

/// A passage that can be cited: its offset in the document, and the fields of all its citations. As JSON it is kept with a
/// request until the answer comes.
#[derive(Debug, Clone, PartialEq)]
pub struct CitedPassage {
    /// Characters of the document before the passage.
    char_start: usize,
    fields: Map<String, Value>,
}

impl CitedPassage {
    /// The passage that begins after so many characters of its document. `fields` is an object; its nulls are left out.
    pub fn new(char_start: usize, fields: Value) -> Self {
        let mut fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        fields.retain(|_, value| !value.is_null());
        Self { char_start, fields }
    }

    /// An element of an array of passages, counted from 1. Its offsets count from its own beginning.
    pub fn of_element(ordinal: usize) -> Self {
        Self::new(0, json!({"passage": ordinal}))
    }

    /// A part of it that begins so many characters later.
    #[must_use]
    pub fn from(&self, chars: usize) -> Self {
        Self { char_start: self.char_start + chars, fields: self.fields.clone() }
    }

    /// The JSON that [`Self::read`] reads.
    pub fn to_json(&self) -> Value {
        json!({"char_start": self.char_start, "fields": self.fields})
    }

    /// Reads what [`Self::to_json`] wrote; `None` for anything else.
    pub fn read(value: &Value) -> Option<Self> {
        let char_start = usize::try_from(value.get("char_start")?.as_u64()?).ok()?;
        Some(Self { char_start, fields: value.get("fields")?.as_object()?.clone() })
    }

    /// A quote that was found in the passage.
    pub fn verified(&self, found: &VerifiedQuote) -> Value {
        let VerifiedQuote { marker, quote, chars, .. } = found;
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
        let mut fields = self.fields.clone();
        narrow(&mut fields, &(self.char_start + chars.start..self.char_start + chars.end));
        for (key, value) in [
            ("marker", json!(marker)),
            ("quote", json!(quote)),
            ("char_start", json!(self.char_start + chars.start)),
            ("char_end", json!(self.char_start + chars.end)),
            (name, value),
        ] {
            fields.insert(key.to_owned(), value);
        }
        Value::Object(fields)
    }
}

/// Characters of the passage that a citation shows on either side of its quote.
const SURROUNDINGS: usize = 120;

/// A citation with what stands before and after its quote, which are the characters `chars` of `text`: as much of the passage
/// as a page shows around what it highlights, from and to the edge of a word.
pub fn surrounded(mut citation: Value, text: &str, chars: &Range<usize>) -> Value {
    let skipped = chars.start.saturating_sub(SURROUNDINGS);
    let before: String = text.chars().skip(skipped).take(chars.start - skipped).collect();
    let after: String = text.chars().skip(chars.end).take(SURROUNDINGS + 1).collect();
    let is_cut = after.chars().count() > SURROUNDINGS;
    let begin = if skipped == 0 { None } else { before.find(char::is_whitespace) };
    let end = if is_cut { after.rfind(char::is_whitespace) } else { None };
    if let Value::Object(fields) = &mut citation {
        fields.insert("before".to_owned(), json!(&before[begin.unwrap_or(0)..].trim_start()));
        fields.insert("after".to_owned(), json!(&after[..end.unwrap_or(after.len())].trim_end()));
    }
    citation
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// Its text with markers.
    Text,
    /// The same with a footnote for every marker, to print.
    Markdown,
}

impl AnswerForm {
    /// The form of this name; NULL is plain text.
    pub fn named(name: Option<&str>) -> Result<Self> {
        match name {
            None | Some("text") => Ok(Self::Text),
            Some("markdown") => Ok(Self::Markdown),
            Some(other) => {
                Err(Error::invalid_argument(format!("unknown format \"{other}\" of an answer"))
                    .with_hint("Use \"text\" or \"markdown\"."))
            }
        }
    }

    /// Shows an answer with its citations.
    pub fn show(self, answer: String, citations: &Value) -> String {
        let citations = citations.as_array().map(Vec::as_slice).unwrap_or_default();
        if self == Self::Text || citations.is_empty() {
            return answer;
        }
        let notes: Vec<String> = citations.iter().map(footnote).collect();
        let mut text = answer;
        for marker in citations.iter().filter_map(|citation| citation["marker"].as_u64()) {
            text = text.replace(&format!(" [{marker}]"), &format!("[^{marker}]"));
        }
        format!("{text}\n\n{}", notes.join("\n"))
    }
}

/// `[^1]: {"id": 7}, Locks > Modes, page 3, characters 10 to 60: "the quote"`.
fn footnote(citation: &Value) -> String {
    let mut places = Vec::new();
    if let Some(key) = citation.get("document_key") {
        let values = key.as_object().map(|key| key.values().map(plain).collect::<Vec<_>>());
        places.push(values.map_or_else(|| plain(key), |values| values.join(", ")));
    }
    if let Some(passage) = citation.get("passage") {
        places.push(format!("passage {passage}"));
    }
    places.extend(citation.get("section").map(plain));
    places.extend(citation.get("page").map(|page| format!("page {page}")));
    let quote: Vec<&str> =
        citation["quote"].as_str().unwrap_or_default().split_whitespace().collect();
    let (start, end) = (&citation["char_start"], &citation["char_end"]);
    places.push(format!("characters {start} to {end}"));
    format!("[^{}]: {}: \"{}\"", citation["marker"], places.join(", "), quote.join(" "))
}

/// A value without quotation marks around it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What decided whether sentences answer: the threshold, whether the model could judge, and what came nearest where nothing answers.
pub fn judgement(answer: &Answer, refused: Option<Value>) -> Value {
    let mut fields = Map::new();
    let threshold = (answer.threshold * 1e4).round() / 1e4;
    fields.insert("threshold".to_owned(), json!(threshold));
    if !answer.is_judged {
        fields.insert("judged".to_owned(), json!(false));
    }
    if let Some(Value::Object(mut refused)) = refused {
        refused.remove("marker");
        fields.insert("refused".to_owned(), Value::Object(refused));
    }
    Value::Object(fields)
}

/// All that a model said.
pub fn claims(claims: &[CheckedClaim]) -> Value {
    let claim = |claim: &CheckedClaim| {
        json!({
            "text": claim.text,
            "shown": claim.shown,
            "markers": claim.markers,
            "dropped": claim.dropped,
            "support": (claim.support * 100.0).round() / 100.0,
            "verified_by": claim.verified_by.map(VerifiedBy::as_str),
            "refusal": claim.refusal,
        })
    };
    claims.iter().map(claim).collect()
}

/// Requests and tokens of `model`.
pub fn usage(model: &str, usage: &Usage) -> Value {
    json!({
        "model": model,
        "requests": usage.requests,
        "passages": usage.passages,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "fallback": usage.fallback,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citation_shows_what_stands_around_its_quote() {
        let words = "émile ".repeat(60);
        let text = format!("{words}The quote. {words}");
        let start = words.chars().count();
        let shown = surrounded(json!({}), &text, &(start..start + "The quote.".len()));
        let (before, after) = (shown["before"].as_str().unwrap(), shown["after"].as_str().unwrap());
        assert_eq!(
            (before, after),
            ("émile ".repeat(19).as_str(), format!(" {}", "émile ".repeat(20)).trim_end())
        );
        let all = surrounded(json!({}), "a b c", &(2..3));
        assert_eq!(all, json!({"before": "a ", "after": " c"}));
        assert_eq!(surrounded(json!({}), "b", &(0..1)), json!({"before": "", "after": ""}));
    }

    #[test]
    fn markdown_has_a_footnote_for_every_marker() {
        let citations = json!([
            {"marker": 1, "document_key": {"id": 7}, "section": "Locks", "page": 3, "char_start": 0, "char_end": 5, "quote": "A\n b."},
            {"marker": 2, "passage": 4, "char_start": 6, "char_end": 8, "quote": "C."},
        ]);
        let shown = AnswerForm::Markdown.show("A b. [1] C. [2]".to_owned(), &citations);
        assert_eq!(
            shown,
            "A b.[^1] C.[^2]\n\n[^1]: 7, Locks, page 3, characters 0 to 5: \"A b.\"\n[^2]: passage 4, characters 6 to 8: \"C.\""
        );
        assert_eq!(AnswerForm::Text.show("A [1]".to_owned(), &citations), "A [1]");
        assert_eq!(AnswerForm::Markdown.show("none".to_owned(), &json!([])), "none");
        assert_eq!(AnswerForm::named(None).unwrap(), AnswerForm::Text);
        assert!(AnswerForm::named(Some("html")).unwrap_err().hint().is_some());
    }

    #[test]
    fn a_passage_read_back_from_json_cites_the_same() {
        let found = VerifiedQuote { marker: 2, passage: 0, quote: "é b".to_owned(), chars: 3..6 };
        let place = CitedPassage::new(10, json!({"chunk_id": 7, "section": "A", "page": null}));
        let cited = place.verified(&found);
        assert_eq!(
            cited,
            json!({"chunk_id": 7, "section": "A", "marker": 2, "quote": "é b", "char_start": 13, "char_end": 16, "verified": true})
        );
        let waited = CitedPassage::read(&place.to_json()).expect("what was written");
        assert_eq!(waited, place);
        assert_eq!(waited.verified(&found), cited);
        assert_eq!(CitedPassage::of_element(3).verified(&found)["passage"], 3);
        for other in [json!(null), json!({}), json!({"char_start": -1, "fields": {}}), json!([1])] {
            assert_eq!(CitedPassage::read(&other), None, "{other}");
        }
    }
}
