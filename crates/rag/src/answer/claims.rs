//! Claims of a model, read from the JSON that the prompt asks for.
use serde_json::Value;

/// Most claims of an answer, and quotes of a claim; what is beyond is left out.
pub(super) const MAX_ITEMS: usize = 64;

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

/// Reads `{"claims": [{"text", "quotes": [{"passage", "quote"}]}]}`, also inside a code fence or between
/// other words. No claims mean that the passages hold no answer. `Err` says what is wrong, for the
/// model to read.
pub(super) fn read(reply: &str) -> Result<Vec<Claim>, String> {
    let value = object(reply).ok_or("The reply holds no JSON object.")?;
    let Some(Value::Array(claims)) = value.get("claims") else {
        return Err("The object has no array \"claims\".".to_owned());
    };
    claims.iter().take(MAX_ITEMS).map(claim).collect()
}

/// Reads one of the claims.
pub(super) fn claim(value: &Value) -> Result<Claim, String> {
    let text = value.get("text").and_then(Value::as_str);
    let text = without_nul(text.ok_or("A claim has no string \"text\".")?);
    let Some(Value::Array(quotes)) = value.get("quotes") else {
        return Err("A claim has no array \"quotes\".".to_owned());
    };
    let quotes = quotes.iter().take(MAX_ITEMS).map(quote).collect::<Result<_, _>>()?;
    Ok(Claim { text, quotes })
}

fn quote(value: &Value) -> Result<Quote, String> {
    let text = value.get("quote").and_then(Value::as_str);
    let text = without_nul(text.ok_or("A quote has no string \"quote\".")?);
    let passage = match value.get("passage") {
        Some(Value::Number(number)) => number.as_u64().and_then(|n| usize::try_from(n).ok()),
        // Some write the number as a string.
        Some(Value::String(number)) => number.trim().parse().ok(),
        _ => None,
    };
    Ok(Quote { passage, text })
}

/// JSON can name the character of number 0, which no text of PostgreSQL's can hold.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The JSON object in a reply.
fn object(reply: &str) -> Option<Value> {
    let candidates = [reply.trim(), reply.get(reply.find('{')?..=reply.rfind('}')?)?];
    let mut values = candidates.iter().filter_map(|text| serde_json::from_str(text).ok());
    values.find(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_read_wherever_it_stands() {
        let json = r#"{"claims":[{"text":"a","quotes":[{"passage":2,"quote":"b"},{"passage":"3","quote":"c"}]}]}"#;
        let fenced = format!("Here it is:\n```json\n{json}\n```\nDone.");
        for reply in [json, &fenced] {
            let claims = read(reply).unwrap();
            assert_eq!(claims[0].text, "a");
            let passages: Vec<_> = claims[0].quotes.iter().map(|q| q.passage).collect();
            assert_eq!(passages, [Some(2), Some(3)]);
        }
        assert_eq!(read(r#"{"claims":[]}"#), Ok(Vec::new()));
    }

    #[test]
    fn zero_characters_are_replaced() {
        let reply = r#"{"claims":[{"text":"a\u0000b","quotes":[{"passage":1,"quote":"\u0000"}]}]}"#;
        let claim = read(reply).unwrap().remove(0);
        assert_eq!((&*claim.text, &*claim.quotes[0].text), ("a\u{fffd}b", "\u{fffd}"));
    }

    #[test]
    fn replies_in_another_form_name_what_is_missing() {
        for (reply, word) in [
            ("", "no JSON"),
            ("I think that", "no JSON"),
            ("} {", "no JSON"),
            ("[1]", "no JSON"),
            (r#"{"claims":[{"text":"a""#, "no JSON"),
            (r#"{"answer":"a"}"#, "claims"),
            (r#"{"claims":"a"}"#, "claims"),
            (r#"{"claims":["a"]}"#, "text"),
            (r#"{"claims":[{"text":1}]}"#, "text"),
            (r#"{"claims":[{"text":"a"}]}"#, "quotes"),
            (r#"{"claims":[{"text":"a","quotes":["b"]}]}"#, "quote"),
        ] {
            let why = read(reply).unwrap_err();
            assert!(why.contains(word), "{reply}: {why}");
        }
        let odd = r#"{"claims":[{"text":"a","quotes":[{"passage":-1,"quote":"b"},{"passage":1.5,"quote":"b"},{"quote":"b"}]}]}"#;
        assert!(read(odd).unwrap()[0].quotes.iter().all(|quote| quote.passage.is_none()));
    }

    #[test]
    fn a_reply_without_end_is_cut() {
        let claim = r#"{"text":"a","quotes":[]}"#;
        let many = format!(r#"{{"claims":[{}]}}"#, vec![claim; 1000].join(","));
        assert_eq!(read(&many).unwrap().len(), MAX_ITEMS);
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&format!("{{\"claims\":{}}}", "[".repeat(100_000))).is_err());
    }
}
