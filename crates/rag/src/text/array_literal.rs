//! Text forms of arrays, as drivers send a list for a parameter whose type they do not know.

/// Whether a text is an array's text form with nothing in it that a driver would not write: elements without white space outside of quotes.
pub fn is_array_literal(text: &str) -> bool {
    let Some(mut rest) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return false;
    };
    if rest.is_empty() {
        return true;
    }
    loop {
        let Some(end) = end_of_element(rest) else { return false };
        match rest[end..].strip_prefix(',') {
            Some(next) => rest = next,
            None => return end == rest.len(),
        }
    }
}

/// Where the element that the text begins with ends.
fn end_of_element(text: &str) -> Option<usize> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        let is_bare = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\\' | '{' | '}');
        return (end > 0 && text[..end].chars().all(is_bare)).then_some(end);
    };
    let mut is_escaped = false;
    let closing = quoted.find(|c| {
        let is_closing = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_closing
    });
    closing.map(|closing| closing + 2)
}

#[cfg(test)]
mod tests {
    use super::is_array_literal;
    use proptest::prelude::*;

    #[test]
    fn lists_as_drivers_write_them_are_told_from_texts() {
        for list in
            ["{}", "{one}", "{one,two}", r#"{"a text","b"}"#, r#"{"say \"no\"",NULL}"#, r#"{"\\"}"#]
        {
            assert!(is_array_literal(list), "{list}");
        }
        for text in [
            "",
            "{",
            "}",
            "a text",
            r#"{"a": 1}"#,
            r#"{"a":1,"b":2}"#,
            "{ return x; }",
            "{a, b}",
            "{{name}}",
            "{,}",
            "{a,}",
            r#"{"a}"#,
            r#"{"a"b}"#,
            "{one} and {two}",
        ] {
            assert!(!is_array_literal(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_list_of_quoted_texts_is_one(texts in prop::collection::vec(".*", 0..5)) {
            let quoted: Vec<String> = texts
                .iter()
                .map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
                .collect();
            let list = format!("{{{}}}", quoted.join(","));
            prop_assert!(is_array_literal(&list));
        }

        #[test]
        fn nothing_panics(text in ".*") {
            is_array_literal(&text);
            is_array_literal(&format!("{{{text}}}"));
        }
    }
}
