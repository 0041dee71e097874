//! `rag_test_model`: one call for each purpose, and what it showed.
use crate::api::model::named;
use crate::api::model::remote::no_remote_model;
use crate::models::remote;
use crate::models::remote::Remote;
use crate::sys::error::SqlError;
use crate::sys::interrupt::checkpoint;
use pgrx::prelude::*;
use rag::Result;
use rag::model::generator::{Conversation, Generator as _, Turn};
use rag::model::{Detail, Embedder as _, Purpose, Reranker as _};
use rag::remote::{Client, Embedder, Generator, RemoteKind, Reranker};
use std::time::Instant;

/// What is embedded and asked.
const SAMPLE_TEXT: &str = "PostgreSQL keeps old row versions until VACUUM removes them.";
const SAMPLE_QUESTION: &str = "What removes old row versions?";

/// What a call showed.
struct Seen {
    dimensions: Option<usize>,
    said: Option<String>,
}

#[pg_extern(volatile, parallel_unsafe, sql = r"
CREATE FUNCTION @extschema@.rag_test_model(name text)
RETURNS TABLE (purpose text, ok bool, dimensions int, milliseconds float8, tokens bigint, requests int, adapted text[], words text)
    VOLATILE PARALLEL UNSAFE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_test_model IS 'calls a remote model once for each purpose and shows what it saw';
", requires = ["remote"])]
#[allow(clippy::type_complexity)] // The columns are the API.
fn rag_test_model(
    name: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(purpose, &'static str),
            name!(ok, bool),
            name!(dimensions, Option<i32>),
            name!(milliseconds, f64),
            name!(tokens, Option<i64>),
            name!(requests, i32),
            name!(adapted, Vec<String>),
            name!(words, Option<String>),
        ),
    >,
    SqlError,
> {
    let name = named("model", name)?;
    let remote = remote::find(name)?.ok_or_else(|| no_remote_model(name))?;
    let purposes: &[&'static str] = match remote.spec().kind {
        RemoteKind::Embedder => &["query", "document"],
        RemoteKind::Reranker => &["rerank"],
        RemoteKind::Generator => &["answer"],
    };
    let mut rows = Vec::new();
    for purpose in purposes {
        rows.push(row(&remote, purpose)?);
    }
    if crate::sys::process::may_write() {
        remote.keep_learnt();
    }
    Ok(TableIterator::new(rows))
}

type TrialRow =
    (&'static str, bool, Option<i32>, f64, Option<i64>, i32, Vec<String>, Option<String>);

/// One call. A cancel alone is an error.
fn row(remote: &Remote, purpose: &'static str) -> Result<TrialRow> {
    let before = remote.peek_calls().len();
    let started = Instant::now();
    let seen = call(remote, purpose);
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    let calls = remote.peek_calls();
    let last = calls[before..].last();
    let tokens = last.and_then(|call| call.counted.input);
    let requests = last.map_or(0, |call| call.attempts as i32);
    let (dimensions, words) = match &seen {
        Ok(seen) => (seen.dimensions, seen.said.clone()),
        Err(error) if error.is_cancelled() => return Err(error.clone()),
        Err(error) => {
            let detail = error.detail().map_or(String::new(), |detail| format!(": {detail}"));
            (None, Some(format!("{}{detail}", error.message())))
        }
    };
    Ok((
        purpose,
        seen.is_ok(),
        dimensions.map(|n| n as i32),
        milliseconds,
        tokens.map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
        requests,
        remote.learnt().adapted.names(),
        words,
    ))
}

fn call(client: &Client, purpose: &str) -> Result<Seen> {
    let vector = |text: &str, purpose| {
        let made = Embedder(client).embed(&[text], purpose, Detail::Vector, &mut checkpoint)?;
        Ok(Seen { dimensions: made.first().map(|made| made.vector.len()), said: None })
    };
    match purpose {
        "query" => vector(SAMPLE_QUESTION, Purpose::Query),
        "document" => vector(SAMPLE_TEXT, Purpose::Document),
        "rerank" => {
            let documents = [SAMPLE_TEXT, "Something else."];
            Reranker(client).rerank(SAMPLE_QUESTION, &documents, &mut checkpoint)?;
            Ok(Seen { dimensions: None, said: None })
        }
        _ => {
            let turn = Turn { is_model: false, text: format!("{SAMPLE_TEXT} {SAMPLE_QUESTION}") };
            let system = "Answer with a JSON object {\"answer\": text}.".to_owned();
            let conversation = Conversation { system, turns: vec![turn] };
            let said = Generator(client).generate(&conversation, &mut checkpoint)?;
            Ok(Seen { dimensions: None, said: Some(said.text.chars().take(300).collect()) })
        }
    }
}
