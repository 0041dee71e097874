//! The filter of a search: which documents and chunks it is about.
//!
//! `{"lang": "en", "year": {"gte": 2020}}`: every key must hold. A key is a column or `and`, `or`,
//! `not`; a value is a scalar (equality), a list (one of it), `null` (no value) or an object of tests.
use crate::{Error, Result};
use serde_json::{Map, Value};

/// Nested deeper, a filter is a mistake, and reading it would use up the stack.
const MAX_DEPTH: usize = 32;
/// More tests make a statement that takes longer to plan than to run.
const MAX_TESTS: usize = 200;

/// A filter as a tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them hold; with none, anything goes.
    All(Vec<Filter>),
    /// One of them holds; with none, nothing goes.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A field passes a test.
    Test {
        /// Name of the field.
        field: String,
        /// The test.
        test: Test,
    },
}

/// A test of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It has a value, or has none.
    Exists(bool),
    /// It compares so with a value.
    Compare(Comparison, Value),
    /// It is one of these values.
    OneOf(Vec<Value>),
}

/// A comparison of a field, on the left, with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Different; a field without a value is.
    Different,
    /// Less.
    Less,
    /// Less or equal.
    AtMost,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
}

impl Filter {
    /// Reads a filter. Anything but an object is an error, and so are tests of unknown names.
    pub fn parse(value: &Value) -> Result<Self> {
        let Value::Object(object) = value else {
            return Err(Error::invalid_argument("the filter is not a JSON object")
                .with_detail(format!("It is {}.", kind(value)))
                .with_hint(EXAMPLE));
        };
        let filter = all_of(object, MAX_DEPTH)?;
        if filter.tests() > MAX_TESTS {
            return Err(Error::invalid_argument(format!(
                "the filter has more than {MAX_TESTS} tests"
            ))
            .with_hint("Give a list to test for many values of one column."));
        }
        Ok(filter)
    }

    /// Number of tests in the tree.
    fn tests(&self) -> usize {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().map(Self::tests).sum(),
            Self::Not(filter) => filter.tests(),
            Self::Test { .. } => 1,
        }
    }
}

const EXAMPLE: &str =
    r#"Write it like {"lang": "en", "year": {"gte": 2020}}, with columns of the source as keys."#;

fn all_of(object: &Map<String, Value>, depth: usize) -> Result<Filter> {
    let mut filters = Vec::new();
    for (key, value) in object {
        match key.as_str() {
            "and" => filters.push(Filter::All(list(key, value, depth)?)),
            "or" => filters.push(Filter::Any(list(key, value, depth)?)),
            "not" => filters.push(Filter::Not(Box::new(nested(key, value, depth)?))),
            _ => filters.push(tests(key, value)?),
        }
    }
    Ok(if filters.len() == 1 { filters.remove(0) } else { Filter::All(filters) })
}

fn list(key: &str, value: &Value, depth: usize) -> Result<Vec<Filter>> {
    let Value::Array(items) = value else {
        return Err(Error::invalid_argument(format!("\"{key}\" of the filter is not a list"))
            .with_hint(r#"Write it like {"or": [{"lang": "en"}, {"lang": "de"}]}."#));
    };
    items.iter().map(|item| nested(key, item, depth)).collect()
}

fn nested(key: &str, value: &Value, depth: usize) -> Result<Filter> {
    let Value::Object(object) = value else {
        return Err(Error::invalid_argument(format!(
            "\"{key}\" of the filter holds {} where an object belongs",
            kind(value)
        ))
        .with_hint(EXAMPLE));
    };
    if depth == 0 {
        return Err(Error::invalid_argument(format!(
            "the filter is nested deeper than {MAX_DEPTH} levels"
        ))
        .with_hint("Join its conditions in one \"and\" or \"or\"."));
    }
    all_of(object, depth - 1)
}

/// The tests of one field.
fn tests(field: &str, value: &Value) -> Result<Filter> {
    let test = |test| Filter::Test { field: field.to_owned(), test };
    let Value::Object(object) = value else { return Ok(test(plain(field, value)?)) };
    let mut tests = Vec::new();
    for (name, value) in object {
        tests.push(test(named(field, name, value)?));
    }
    Ok(if tests.len() == 1 { tests.remove(0) } else { Filter::All(tests) })
}

fn plain(field: &str, value: &Value) -> Result<Test> {
    match value {
        Value::Null => Ok(Test::Exists(false)),
        Value::Array(values) if values.iter().any(|v| v.is_array() || v.is_object()) => {
            Err(Error::invalid_argument(format!("the list for \"{field}\" holds lists or objects"))
                .with_hint("List strings, numbers, booleans or null."))
        }
        Value::Array(values) => Ok(Test::OneOf(values.clone())),
        _ => Ok(Test::Compare(Comparison::Equal, value.clone())),
    }
}

fn named(field: &str, name: &str, value: &Value) -> Result<Test> {
    let comparison = match name {
        "exists" => {
            return value.as_bool().map(Test::Exists).ok_or_else(|| {
                Error::invalid_argument(format!("\"exists\" for \"{field}\" is not a boolean"))
                    .with_hint(r#"Write {"exists": true} or {"exists": false}."#)
            });
        }
        "in" if value.is_array() => return plain(field, value),
        "eq" => Comparison::Equal,
        "ne" => Comparison::Different,
        "lt" => Comparison::Less,
        "lte" => Comparison::AtMost,
        "gt" => Comparison::Greater,
        "gte" => Comparison::AtLeast,
        _ => {
            return Err(Error::invalid_argument(format!(
                "the filter has no test \"{name}\" for \"{field}\""
            ))
            .with_hint("The tests are eq, ne, lt, lte, gt, gte, in (with a list) and exists."));
        }
    };
    match (comparison, value) {
        (Comparison::Equal, Value::Null) => Ok(Test::Exists(false)),
        (Comparison::Different, Value::Null) => Ok(Test::Exists(true)),
        (_, Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
            Ok(Test::Compare(comparison, value.clone()))
        }
        _ => Err(Error::invalid_argument(format!(
            "\"{name}\" for \"{field}\" compares with {}",
            kind(value)
        ))
        .with_hint("Compare with a string, a number or a boolean.")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn test(field: &str, test: Test) -> Filter {
        Filter::Test { field: field.to_owned(), test }
    }

    #[test]
    fn keys_are_columns_or_connectives() {
        let parsed = Filter::parse(&json!({
            "lang": "en",
            "or": [{"year": {"gte": 2020, "lt": 2030}}, {"year": null}],
            "not": {"state": ["draft", null]},
        }));
        let year = |comparison, value: i32| test("year", Test::Compare(comparison, json!(value)));
        let range =
            Filter::All(vec![year(Comparison::AtLeast, 2020), year(Comparison::Less, 2030)]);
        let expected = Filter::All(vec![
            test("lang", Test::Compare(Comparison::Equal, json!("en"))),
            Filter::Not(Box::new(test("state", Test::OneOf(vec![json!("draft"), Value::Null])))),
            Filter::Any(vec![range, test("year", Test::Exists(false))]),
        ]);
        assert_eq!(parsed.unwrap(), expected);
        assert_eq!(Filter::parse(&json!({})).unwrap(), Filter::All(Vec::new()));
    }

    #[test]
    fn mistakes_are_errors_with_hints() {
        let mistakes = [
            json!(null),
            json!([1]),
            json!("x"),
            json!({"a": {"like": "x"}}),
            json!({"a": [[1]]}),
            json!({"a": {"gt": null}}),
            json!({"a": {"in": 1}}),
            json!({"a": {"exists": "yes"}}),
            json!({"or": {"a": 1}}),
            json!({"not": [1]}),
            json!({"and": (0..201).map(|n| json!({"a": n})).collect::<Vec<_>>()}),
        ];
        for mistake in mistakes {
            let error = Filter::parse(&mistake).unwrap_err();
            assert_eq!(error.sqlstate(), "22023", "{mistake}");
            assert!(error.hint().is_some(), "{mistake}");
        }
        let deep = (0..100).fold(json!({"a": 1}), |inner, _| json!({"not": inner}));
        assert!(Filter::parse(&deep).unwrap_err().message().contains("deeper"));
    }
}
