//! Judged questions: from a table, or from the feedback on logged queries.
#![allow(unsafe_code)] // asks for the type of a column

use crate::catalog::collection::Collection;
use crate::search::comparable::values::{Output, column_type};
use crate::sys::interrupt::checkpoint;
use crate::sys::names;
use crate::sys::rights::key_text_settings;
use crate::sys::spi::{fill, read_as_caller, required};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;
use rag::{Error, Result, memory};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A question, and the keys of the documents that are relevant to it.
pub struct JudgedQuestion {
    /// What to ask.
    pub text: String,
    /// Keys as text, column by column.
    pub relevant: BTreeSet<Vec<String>>,
}

/// How a table says which documents are relevant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The key of one document.
    Key,
    /// An array of keys.
    Array,
    /// JSON: a key, an object of key columns, or a list of either.
    Json,
}

/// Questions of a table that the caller may read. `columns` hold the question and what is relevant to it;
/// rows with the same question are one.
pub fn of_table(
    collection: &Collection,
    table: pg_sys::Oid,
    columns: (&str, &str),
) -> Result<Vec<JudgedQuestion>> {
    let questions = relation(table)?;
    let type_of = |column: &str| require_column(table, &questions, column, "question and relevant");
    type_of(columns.0)?;
    let form = form(type_of(columns.1)?);
    let (question, relevant) = (quote_identifier(columns.0), quote_identifier(columns.1));
    let is_array = form == Form::Array;
    let parts = [
        ("question", question.clone()),
        ("relevant", if is_array { "r.key".to_owned() } else { format!("s.{relevant}") }),
        ("questions", questions),
        (
            "elements",
            if is_array {
                format!(" CROSS JOIN LATERAL pg_catalog.unnest(s.{relevant}) AS r (key)")
            } else {
                String::new()
            },
        ),
    ];
    let parts = parts.each_ref().map(|(name, sql)| (*name, sql.as_str()));
    let sql = fill(statement!("api/evaluate_questions"), &parts);
    read_questions(collection, form, &sql, &[])
}

/// A question, and the texts that are accepted as its answer; none where it ought to be refused.
pub struct AnsweredQuestion {
    pub text: String,
    pub accepted: Vec<String>,
}

/// Questions of a table that the caller may read, in its order, with what `columns.1` accepts: a text, an array of texts, or JSON that is either.
pub fn with_answers(table: pg_sys::Oid, columns: (&str, &str)) -> Result<Vec<AnsweredQuestion>> {
    let questions = relation(table)?;
    for column in [columns.0, columns.1] {
        require_column(table, &questions, column, "question and accepted")?;
    }
    let (question, accepted) = (quote_identifier(columns.0), quote_identifier(columns.1));
    let parts = [("question", &*question), ("accepted", &*accepted), ("questions", &*questions)];
    let sql = fill(statement!("api/evaluate_answered_questions"), &parts);
    let row = |row: pgrx::spi::SpiHeapTupleData<'_>| {
        let accepted = row.get::<Output>(2).ok().flatten().map(|output| output.0);
        (required::<Output>(&row, 1).0, accepted)
    };
    let mut found = Vec::new();
    for (text, accepted) in read_as_caller(&sql, &[], row) {
        checkpoint()?;
        if !text.trim().is_empty() {
            found.push(AnsweredQuestion { text, accepted: texts_of(accepted.as_deref())? });
        }
    }
    Ok(found)
}

/// The texts of a JSON value: one, or a list of them.
fn texts_of(json: Option<&str>) -> Result<Vec<String>> {
    let Some(json) = json else { return Ok(Vec::new()) };
    memory::require(PARSED_JSON * json.len())?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Number(number) => Some(vec![number.to_string()]),
        Value::Null => Some(Vec::new()),
        _ => None,
    };
    let value = serde_json::from_str(json).ok();
    let texts = match &value {
        Some(Value::Array(list)) => list.iter().map(text).collect::<Option<Vec<_>>>(),
        Some(value) => text(value).map(|one| vec![one]),
        None => None,
    };
    let texts = texts.ok_or_else(|| {
        Error::invalid_argument("an accepted answer is no text")
            .with_detail(format!("It is {json}."))
            .with_hint("Accept a text, an array of texts, or a JSON list of texts; none where the question ought to be refused.")
    })?;
    Ok(texts.into_iter().flatten().filter(|text| !text.trim().is_empty()).collect())
}

/// The qualified name of a table of questions.
fn relation(table: pg_sys::Oid) -> Result<String> {
    names::relation(table).ok_or_else(|| {
        Error::undefined(format!("relation with OID {} does not exist", table.to_u32()))
            .with_hint("Name a table or view of questions.")
    })
}

/// The type of a column that the arguments `names` name; an error where there is none.
fn require_column(
    table: pg_sys::Oid,
    questions: &str,
    column: &str,
    names: &str,
) -> Result<pg_sys::Oid> {
    column_type(table, column).ok_or_else(|| {
        Error::undefined_column(format!("column \"{column}\" of {questions} does not exist"))
            .with_hint(format!("The arguments {names} name its columns."))
    })
}

/// Questions that were logged and judged, of a collection of the caller's own.
pub fn of_feedback(collection: &Collection) -> Result<Vec<JudgedQuestion>> {
    collection.require_owner("evaluate it by its feedback")?;
    let sql = statement!("api/evaluate_feedback");
    read_questions(collection, Form::Json, sql, &[collection.name.as_str().into()])
}

/// Bytes that a byte of JSON takes at most once it is parsed: an object of eight characters has a node of a tree.
const PARSED_JSON: usize = 100;

fn form(type_oid: pg_sys::Oid) -> Form {
    // SAFETY: cache look-ups inside a transaction.
    let (base, element) = unsafe {
        let base = pg_sys::getBaseType(type_oid);
        (base, pg_sys::get_element_type(base))
    };
    match base {
        pg_sys::JSONOID | pg_sys::JSONBOID => Form::Json,
        _ if element != pg_sys::InvalidOid => Form::Array,
        _ => Form::Key,
    }
}

fn read_questions(
    collection: &Collection,
    form: Form,
    sql: &str,
    arguments: &[pgrx::datum::DatumWithOid<'_>],
) -> Result<Vec<JudgedQuestion>> {
    let mut key_text = None;
    let rows = read_as_caller(sql, arguments, |row| {
        // The table's own expressions have run under the caller's settings.
        key_text.get_or_insert_with(key_text_settings);
        (required::<Output>(&row, 1).0, required::<Output>(&row, 2).0)
    });
    drop(key_text);
    let mut questions: BTreeMap<String, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (text, relevant) in rows {
        checkpoint()?;
        if text.trim().is_empty() {
            continue;
        }
        let keys = match form {
            Form::Json => {
                memory::require(PARSED_JSON * relevant.len())?;
                let value = serde_json::from_str(&relevant);
                let value = value.map_err(|error| {
                    unreadable(collection, &relevant).with_detail(error.to_string())
                })?;
                keys_of(collection, &value)?
            }
            Form::Key | Form::Array => vec![key_of(collection, &Value::from(relevant))?],
        };
        questions.entry(text).or_default().extend(keys);
    }
    questions.retain(|_, relevant| !relevant.is_empty());
    Ok(questions.into_iter().map(|(text, relevant)| JudgedQuestion { text, relevant }).collect())
}

/// The keys of a JSON value: a list of them, or one.
fn keys_of(collection: &Collection, value: &Value) -> Result<Vec<Vec<String>>> {
    match value {
        Value::Array(list) => list.iter().map(|value| key_of(collection, value)).collect(),
        value => Ok(vec![key_of(collection, value)?]),
    }
}

/// A key: an object with its columns, as `rag_search` shows it, or the value of its only column.
fn key_of(collection: &Collection, value: &Value) -> Result<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(if *is { "t" } else { "f" }.to_owned()),
        _ => None,
    };
    let key: Option<Vec<String>> = match value {
        Value::Object(object) => {
            collection.keys.iter().map(|key| object.get(&key.name).and_then(text)).collect()
        }
        value if collection.keys.len() == 1 => text(value).map(|key| vec![key]),
        _ => None,
    };
    key.ok_or_else(|| unreadable(collection, &value.to_string()))
}

fn unreadable(collection: &Collection, value: &str) -> Error {
    let columns = collection.keys.iter().map(|key| format!("\"{}\": ...", key.name));
    let columns = columns.collect::<Vec<_>>().join(", ");
    Error::invalid_argument(format!("{value} is no document of collection \"{}\"", collection.name))
        .with_hint(format!("Write a key as jsonb {{{columns}}} or, of one column, as its value; several as an array."))
}
