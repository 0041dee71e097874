//! JSON as models write it: with line ends in strings, escapes that there are not, commas too many or too few, or cut
//! off in the middle.
use serde_json::{Map, Value};

/// How deep values may lie in one another.
const MAX_DEPTH: usize = 24;

/// A value, as far as it goes.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    pub value: Value,
    /// Where it ends.
    pub end: usize,
    /// The text ends within it.
    pub is_cut: bool,
}

/// The member of an object that is cut: the name of the text that is, or `true`.
pub(super) const CUT: &str = "\0cut";

/// Reads the object or array at the start of `text`; `None` where there is none.
pub(super) fn read(text: &str) -> Option<Read> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let mut reader = Reader { text, at: 0, is_cut: false };
    let value = reader.value(MAX_DEPTH)?;
    Some(Read { value, end: reader.at, is_cut: reader.is_cut })
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    is_cut: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is neither white space nor a comma.
    fn skip(&mut self) -> Option<u8> {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || byte == b',') {
            self.at += 1;
        }
        let next = self.peek();
        self.is_cut |= next.is_none();
        next
    }

    /// `None` where there is no value; of a value that is cut, what is complete.
    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.skip()? {
            _ if depth == 0 => None,
            b'{' => self.object(depth - 1),
            b'[' => self.array(depth - 1),
            b'"' => Some(Value::String(self.string())),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut members = Map::new();
        loop {
            match self.skip() {
                None => break,
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                Some(b'"') => {}
                Some(_) => return None,
            }
            let name = self.string();
            if self.is_cut {
                break;
            }
            match self.skip() {
                None => break,
                Some(b':') => self.at += 1,
                Some(_) => return None,
            }
            let is_text = self.skip() == Some(b'"');
            let Some(value) = self.value(depth) else {
                if self.is_cut {
                    break;
                }
                return None;
            };
            if self.is_cut && is_text {
                members.insert(CUT.to_owned(), Value::String(name.clone()));
            }
            members.insert(name, value);
            if self.is_cut {
                break;
            }
        }
        if self.is_cut {
            members.entry(CUT).or_insert(Value::Bool(true));
        }
        Some(Value::Object(members))
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            match self.skip() {
                None => break,
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                Some(b'}' | b':') => return None,
                Some(_) => {}
            }
            let is_text = self.peek() == Some(b'"');
            match self.value(depth) {
                // A text that is cut is none.
                Some(_) if self.is_cut && is_text => break,
                Some(value) => items.push(value),
                None if self.is_cut => break,
                None => return None,
            }
            if self.is_cut {
                break;
            }
        }
        Some(Value::Array(items))
    }

    /// A string; the text ends within it where `is_cut` is set.
    fn string(&mut self) -> String {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find(['"', '\\']).unwrap_or(rest.len());
            out.push_str(&rest[..end]);
            self.at += end;
            match self.peek() {
                None => {
                    self.is_cut = true;
                    return out;
                }
                Some(b'"') => {
                    self.at += 1;
                    return out;
                }
                Some(_) => self.escape(&mut out),
            }
        }
    }

    fn escape(&mut self, out: &mut String) {
        let rest = &self.text[self.at + 1..];
        let Some(c) = rest.chars().next() else {
            self.at += 1;
            return;
        };
        self.at += 1 + c.len_utf8();
        match c {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' | 'f' => out.push(' '),
            'u' => {
                let unit = |at: usize| {
                    let digits = self.text.get(at..at + 4)?;
                    digits
                        .bytes()
                        .all(|b| b.is_ascii_hexdigit())
                        .then(|| u16::from_str_radix(digits, 16).ok())?
                };
                let Some(first) = unit(self.at) else {
                    out.push('u');
                    return;
                };
                let second = (0xd800..0xdc00).contains(&first)
                    && self.text.get(self.at + 4..self.at + 6) == Some("\\u");
                let second = second.then(|| unit(self.at + 6)).flatten();
                let units = [Some(first), second];
                let decoded = char::decode_utf16(units.into_iter().flatten()).next();
                self.at += if second.is_some() { 10 } else { 4 };
                out.push(decoded.and_then(Result::ok).unwrap_or('\u{fffd}'));
            }
            // Those that JSON knows, and those that it does not.
            c => out.push(c),
        }
    }

    /// A number, or a name such as `null`.
    fn word(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let is_end =
            |c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']' | ':' | '"' | '{' | '[');
        let end = rest.find(is_end).unwrap_or(rest.len());
        self.is_cut |= end == rest.len();
        self.at += end;
        match &rest[..end] {
            "null" | "None" | "undefined" => Some(Value::Null),
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            word => serde_json::from_str(word).ok().filter(|value: &Value| !value.is_object()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn value(text: &str) -> Option<Value> {
        read(text).map(|read| read.value)
    }

    #[test]
    fn slips_of_models_are_understood() {
        for (text, expected) in [
            (r#"{"a": [1, 2,], "b": "c",}"#, json!({"a": [1, 2], "b": "c"})),
            ("{\"a\": \"b\nc\" \"d\": null}", json!({"a": "b\nc", "d": null})),
            (
                r#"{"a": "max\_x \u00e9 \ud83d\ude00 \uzz \ud800"}"#,
                json!({"a": "max_x é 😀 uzz \u{fffd}"}),
            ),
            ("[True, None] tail", json!([true, null])),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        for text in
            ["", "a", "{maybe}", "{this}", "{\"a\"}", "{\"a\": {b}}", "[1}", &"[".repeat(100)]
        {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn of_a_text_that_is_cut_the_complete_part_is_kept() {
        for (text, expected) in [
            (r#"{"a": ["b", "c"#, json!({"a": ["b"], CUT: true})),
            (r#"{"a": "b c"#, json!({"a": "b c", CUT: "a"})),
            (r#"{"a": 1, "b"#, json!({"a": 1, CUT: true})),
            (r#"[{"a": 1}, {"b": "#, json!([{"a": 1}, {CUT: true}])),
        ] {
            let read = read(text).unwrap();
            assert!(read.is_cut, "{text}");
            assert_eq!(read.value, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn json_is_read_as_it_is(text in "\\PC{0,20}", numbers in prop::collection::vec(-1000_i32..1000, 0..4)) {
            let value = json!({"t": text, "n": numbers, "o": {"b": true, "z": null}});
            for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(read(&json), Some(Read { value: value.clone(), end: json.len(), is_cut: false }));
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "[{\\[\"a\\\\u0,:}\\] ]{0,40}") {
            if let Some(read) = read(&text) {
                prop_assert!(text.is_char_boundary(read.end));
            }
        }
    }
}
