//! Claims of a model, in the forms of JSON that models give them.
//!
//! The prompt asks for `{"quotes": ["…"], "response": "…"}`. What models write instead, and what they were asked for elsewhere, is
//! understood too: `{"claims": [{"text", "quotes": [{"passage", "quote"}]}]}`, a bare array of claims, quotes as texts, a claim
//! alone. One that is malformed is left out, not the others.
use super::lenient::CUT;
use crate::chunk;
use serde_json::{Map, Value};

/// Most claims of an answer, and quotes of a claim; what is beyond is left out.
pub(super) const MAX_ITEMS: usize = 64;
/// Values that hold an answer inside of other values: how many.
const MAX_WRAPPERS: usize = 3;

/// A statement and its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub text: String,
    pub quotes: Vec<Quote>,
}

/// Words that should stand in a passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Quote {
    /// Number of the passage, if one was given that can be a number.
    pub passage: Option<usize>,
    pub text: String,
}

/// The names that models give to what they say, the best first, and to their evidence.
const TEXTS: [&str; 7] =
    ["text", "claim", "statement", "response", "answer", "sentence", "content"];
const QUOTES: [&str; 8] =
    ["quotes", "quote", "evidence", "citations", "sources", "passages", "source", "citation"];
const QUOTE_TEXTS: [&str; 5] = ["quote", "text", "exact_words", "content", "sentence"];

/// Claims of a reply, so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Each once, in the reply's order. Of a longer reply that begins with this one, they are the first.
    pub claims: Vec<Claim>,
    /// What is wrong with the form, for the model to read; none where some object had it.
    pub defect: Option<String>,
}

/// Claims that were found in a reply.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub claims: Vec<Claim>,
    /// Whether some value had the form of an answer, without claims perhaps.
    has_form: bool,
    defect: Option<String>,
}

impl Found {
    /// Adds the claims of a value, each once; whether it had the form of an answer. `is_over`: the reply has ended.
    pub fn add(&mut self, value: &Value, is_over: bool) -> bool {
        self.add_within(value, is_over, MAX_WRAPPERS)
    }

    fn add_within(&mut self, value: &Value, is_over: bool, depth: usize) -> bool {
        match value {
            Value::Array(items) => {
                let is_claim = |item: &Value| {
                    item.as_object().is_some_and(|members| {
                        first(members, &TEXTS).is_some() || members.contains_key("claims")
                    })
                };
                if !items.iter().any(is_claim) {
                    return false;
                }
                for item in items {
                    self.add_within(item, is_over, depth.saturating_sub(1));
                }
                true
            }
            Value::Object(members) => match members.get("claims") {
                Some(claims) => self.add_claims(claims, is_over),
                None if depth > 0 && unwrapped(value).is_some() => {
                    unwrapped(value).is_some_and(|inner| self.add_within(inner, is_over, depth - 1))
                }
                None => self.add_claim(members, is_over),
            },
            _ => false,
        }
    }

    fn add_claims(&mut self, claims: &Value, is_over: bool) -> bool {
        let one = std::slice::from_ref(claims);
        let items = match claims {
            Value::Array(items) => &items[..],
            Value::Object(_) => one,
            _ => {
                self.note("The object has no array \"claims\".");
                return false;
            }
        };
        self.has_form |= items.is_empty();
        for item in items {
            match item {
                Value::Object(members) => _ = self.add_claim(members, is_over),
                Value::String(text) => self.push(text, &[]),
                _ => self.note("A claim has no string \"text\"."),
            }
        }
        true
    }

    /// A claim, or an answer of several sentences with quotes for all of them.
    fn add_claim(&mut self, members: &Map<String, Value>, is_over: bool) -> bool {
        let cut = members.get(CUT);
        let quotes = QUOTES.iter().find_map(|name| members.get(*name));
        let Some((name, text)) = first(members, &TEXTS) else {
            if quotes.is_some() && cut.is_none() {
                self.note("The object has no string \"response\".");
            }
            return quotes.is_some();
        };
        let Some(text) = text.as_str() else {
            self.has_form |= text.is_null() && quotes.is_some();
            self.note("A claim has no string \"text\".");
            return true;
        };
        if quotes.is_none() && cut.is_none() {
            self.note("A claim has no array \"quotes\".");
        }
        // More quotes, or more of the text, may follow.
        if cut.is_some() && !is_over {
            return true;
        }
        self.has_form |= quotes.is_some() && text.trim().is_empty();
        let quotes: Vec<Quote> = quotes.map(read_quotes).unwrap_or_default();
        let is_whole = cut.is_none_or(|cut| cut != name);
        if ["response", "answer"].contains(&name) {
            sentences(text, is_whole).for_each(|sentence| self.push(&sentence, &quotes));
        } else if is_whole && (cut.is_none() || !quotes.is_empty()) {
            self.push(text, &quotes);
        }
        true
    }

    fn push(&mut self, text: &str, quotes: &[Quote]) {
        let text = without_nul(text.trim());
        let claim = Claim { text, quotes: quotes.to_vec() };
        if !claim.text.is_empty() && self.claims.len() < MAX_ITEMS && !self.claims.contains(&claim)
        {
            self.claims.push(claim);
        }
    }

    fn note(&mut self, defect: &str) {
        self.defect.get_or_insert_with(|| defect.to_owned());
    }

    pub fn end(self) -> Reading {
        let Self { claims, has_form, defect } = self;
        let has_evidence = claims.iter().any(|claim| !claim.quotes.is_empty());
        let missing = || "The reply holds no JSON object that is complete.".to_owned();
        let defect = (!has_form && !has_evidence).then(|| defect.unwrap_or_else(missing));
        Reading { claims, defect }
    }
}

/// The first of the members with one of these names, and which.
fn first<'m>(
    members: &'m Map<String, Value>,
    names: &[&'static str],
) -> Option<(&'static str, &'m Value)> {
    names.iter().find_map(|name| Some((*name, members.get(*name)?)))
}

fn read_quotes(value: &Value) -> Vec<Quote> {
    let one = std::slice::from_ref(value);
    let items = value.as_array().map_or(one, Vec::as_slice);
    items.iter().take(MAX_ITEMS).filter_map(read_quote).collect()
}

fn read_quote(value: &Value) -> Option<Quote> {
    let (text, passage) = match value {
        Value::String(text) => (text.as_str(), None),
        Value::Object(members) if !members.contains_key(CUT) => {
            let passage = match ["passage", "passage_number", "source", "id"]
                .iter()
                .find_map(|name| members.get(*name))
            {
                Some(Value::Number(number)) => {
                    number.as_u64().and_then(|n| usize::try_from(n).ok())
                }
                // Some write the number as a string.
                Some(Value::String(number)) => number.trim().parse().ok(),
                _ => None,
            };
            (first(members, &QUOTE_TEXTS)?.1.as_str()?, passage)
        }
        _ => return None,
    };
    (!text.trim().is_empty()).then(|| Quote { passage, text: without_nul(text) })
}

/// Values inside of which answers are wrapped: calls of tools, and objects of one member.
fn unwrapped(value: &Value) -> Option<&Value> {
    let members = value.as_object()?;
    let names =
        ["arguments", "parameters", "input", "response", "result", "output", "answer", "data"];
    { names.iter() }
        .find_map(|name| members.get(*name))
        .filter(|inner| inner.is_object() || inner.is_array())
}

/// The sentences of an answer. `is_whole`: the last is complete too.
pub(super) fn sentences(text: &str, is_whole: bool) -> impl Iterator<Item = String> {
    let mut found: Vec<&str> = chunk::sentences(text)
        .map(|bytes| text[bytes].trim())
        .filter(|text| !text.is_empty())
        .collect();
    if !is_whole {
        found.pop();
    }
    found.into_iter().map(str::to_owned)
}

/// JSON can name the character of number 0, which no text of PostgreSQL's can hold.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
