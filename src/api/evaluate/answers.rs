//! `rag_evaluate_answers`: how good a collection's answers are, on questions with accepted answers.
use crate::api::answer::{Writing, answered, generator};
use crate::api::collection::utf8;
use crate::api::evaluate::questions::{self, AnsweredQuestion};
use crate::api::search::SearchArguments;
use crate::search::distributed::search;
use crate::search::options::Options;
use crate::sys::datum::json::JsonText;
use crate::sys::error::SqlError;
use crate::sys::interrupt;
use pgrx::pg_sys;
use pgrx::prelude::*;
use rag::remote::Price;
use rag::search::answer_quality::{Judged, Summary};
use rag::{Error, Result};
use serde_json::Value;
use std::ffi::CStr;
use std::time::Instant;

/// VOLATILE because a generator is called over the network.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_evaluate_answers(
    collection text,
    questions regclass,
    model text = NULL,
    question name = 'question',
    accepted name = 'accepted',
    top_k bigint = 5,
    filter jsonb = NULL
) RETURNS TABLE (
    asked bigint,
    answerable bigint,
    answered float8,
    exact float8,
    contained float8,
    f1 float8,
    supported float8,
    refused float8,
    cost float8,
    p50_ms float8
) VOLATILE PARALLEL RESTRICTED ROWS 1 COST 1000000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_evaluate_answers IS 'quality of the answers from a collection, on questions with accepted answers';
", requires = ["query_log", rag_search])]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // a SQL function's named options
fn rag_evaluate_answers(
    collection: Option<&str>,
    questions: Option<pg_sys::Oid>,
    model: Option<&str>,
    question: Option<&CStr>,
    accepted: Option<&CStr>,
    top_k: Option<i64>,
    filter: Option<JsonText>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(asked, i64),
            name!(answerable, i64),
            name!(answered, Option<f64>),
            name!(exact, Option<f64>),
            name!(contained, Option<f64>),
            name!(f1, Option<f64>),
            name!(supported, Option<f64>),
            name!(refused, Option<f64>),
            name!(cost, Option<f64>),
            name!(p50_ms, Option<f64>),
        ),
    >,
    SqlError,
> {
    let (Some(name), Some(table)) = (collection, questions) else {
        return Ok(TableIterator::new(Vec::new()));
    };
    let question = question.map_or(Ok("question".to_owned()), utf8)?;
    let accepted = accepted.map_or(Ok("accepted".to_owned()), utf8)?;
    // Before any question is read: a model of another kind, or none, is an error of the call.
    model.map(generator).transpose()?;
    let given = SearchArguments { top_k, filter, ..SearchArguments::default() };
    let options = Options { quotes: true, ..given.read()? };
    let asked = questions::with_answers(table, (&question, &accepted))?;
    if asked.is_empty() {
        return Err(Error::invalid_argument("there is no question")
            .with_hint("Name a table with questions and what is accepted as their answers.")
            .into());
    }
    let judge = |question: &AnsweredQuestion| judged(name, question, model, &options);
    let judged = asked.iter().map(judge).collect::<Result<Vec<_>>>()?;
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let Summary {
        asked,
        answerable,
        answered,
        exact,
        contained,
        f1,
        refused,
        supported,
        cost,
        p50_ms,
    } = Summary::of(&judged);
    let row = (
        count(asked),
        count(answerable),
        answered,
        exact,
        contained,
        f1,
        supported,
        refused,
        cost,
        p50_ms,
    );
    Ok(TableIterator::once(row))
}

/// Answers one question as `rag_answer` does, and judges the answer.
fn judged(
    collection: &str,
    question: &AnsweredQuestion,
    model: Option<&str>,
    options: &Options,
) -> Result<Judged> {
    interrupt::checkpoint()?;
    let generator = model.map(generator).transpose()?;
    let price = generator.as_ref().map(|client| client.spec().price);
    let started = Instant::now();
    let outcome = search(collection, &question.text, options, |_| ())?;
    let row = answered(&question.text, &outcome, generator, &Writing::default())?;
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    let (answer, citations, status, _, claims, usage) = row;
    let judged = Judged::new(&status, answer.as_deref().unwrap_or_default(), &question.accepted);
    let quotes = citations.0.as_array().map_or(0, Vec::len);
    let (claims, supported) = claims.map_or((quotes, quotes), |claims| supported(&claims.0));
    let usage = usage.map(|usage| usage.0);
    let cost = price.zip(usage).and_then(|(price, usage)| cost(&price, &usage));
    Ok(Judged { claims, supported, cost, milliseconds, ..judged })
}

/// Claims of a generator, and those of them that quotes support.
fn supported(claims: &Value) -> (usize, usize) {
    let claims = claims.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_supported = |claim: &&Value| {
        claim.get("markers").and_then(Value::as_array).is_some_and(|markers| !markers.is_empty())
    };
    (claims.len(), claims.iter().filter(is_supported).count())
}

fn cost(price: &Price, usage: &Value) -> Option<f64> {
    let count = |key: &str| usage.get(key).and_then(Value::as_u64).unwrap_or_default();
    let requests = u32::try_from(count("requests")).unwrap_or(u32::MAX);
    price.of(requests, count("input_tokens"), count("output_tokens"))
}
