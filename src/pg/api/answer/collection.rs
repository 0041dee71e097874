//! `rag_answer` on a collection: search, then quote what was found.
use crate::answer::{self, Answer, Citation, Options, Passage, Status};
use crate::model::{LocalModel, Purpose};
use crate::pg::api::search::{Given, document_key, require_text, without_nulls};
use crate::pg::json::JsonText;
use crate::pg::query_log::{self, Entry};
use crate::pg::search::{self, Found, Outcome};
use crate::pg::{guc, interrupt};
use crate::rerank::TokenBits;
use crate::{Error, Result};
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{Value, json};
use std::time::Instant;

#[pg_extern(sql = r"
CREATE FUNCTION rag_answer(
    collection text,
    question text,
    top_k int = 5,
    filter jsonb = NULL,
    model text = NULL
) RETURNS TABLE (
    answer text,
    citations jsonb,
    status text,
    confidence float8,
    query_id bigint
) STABLE PARALLEL RESTRICTED ROWS 1 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag_answer(text, text, int, jsonb, text) IS 'sentences of a collection that answer a question, quoted with their places';
", requires = ["catalog", "query_log"])]
#[allow(clippy::type_complexity)] // the row of a set-returning function
fn rag_answer_collection(
    collection: Option<&str>,
    question: Option<&str>,
    top_k: Option<i32>,
    filter: Option<JsonText>,
    model: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(answer, Option<String>),
            name!(citations, JsonB),
            name!(status, String),
            name!(confidence, Option<f64>),
            name!(query_id, Option<i64>),
        ),
    >,
    ErrorReport,
> {
    let (Some(collection), Some(question)) = (collection, question) else {
        let status = Status::NoAnswer.as_str().to_owned();
        return Ok(TableIterator::once((None, JsonB(json!([])), status, None, None)));
    };
    refuse_generator(model)?;
    require_text("question", question)?;
    let options = Given { top_k, filter, ..Given::default() }.read()?;
    let outcome = search::search(collection, question, &options).map_err(explain_overload)?;
    let started = Instant::now();
    let answer = answer(question, &outcome)?;
    let query_id = query_log::record(&Entry {
        query: question,
        options: &options,
        outcome: &outcome,
        answer: Some((&answer, started.elapsed())),
    });
    let citations = answer.citations.iter().map(|c| citation(&outcome, c)).collect();
    Ok(TableIterator::once((
        Some(answer.text),
        JsonB(Value::Array(citations)),
        answer.status.as_str().to_owned(),
        Some(f64::from(answer.confidence)),
        query_id,
    )))
}

/// Answers here are quoted, not generated.
fn refuse_generator(model: Option<&str>) -> Result<()> {
    let Some(model) = model else { return Ok(()) };
    Err(Error::undefined(format!("generator \"{model}\" does not exist"))
        .with_hint("Leave model NULL for an answer in the documents' own sentences."))
}

/// Untyped literals mean the collection form; who meant the other one learns how to say so.
fn explain_overload(error: Error) -> Error {
    if error.sqlstate() != "42704" || !error.message().starts_with("collection ") {
        return error;
    }
    let hint = error.hint().unwrap_or_default().to_owned();
    error.with_hint(format!(
        "{hint} To answer from passages, give an array: rag_answer(question, ARRAY[passage, ...])."
    ))
}

fn answer(question: &str, outcome: &Outcome) -> Result<Answer> {
    let generation = &outcome.generation;
    let options = Options { threshold: guc::answer::threshold(), ..Options::default() };
    let Some(tokens) = outcome.question.as_ref().and_then(|question| question.tokens.as_ref())
    else {
        return without_bits(question, outcome, &options);
    };
    let model = search::embedder(generation)?;
    let passages = outcome.found.iter().map(|found| passage(model, generation.dimensions, found));
    let passages = passages.collect::<Result<Vec<_>>>()?;
    answer::extract(tokens, &passages, &options, &mut interrupt::checkpoint)
}

/// For collections that keep no token bits.
fn without_bits(question: &str, outcome: &Outcome, options: &Options) -> Result<Answer> {
    let generation = &outcome.generation;
    let model = search::embedder(generation)?;
    let texts: Vec<&str> = outcome.found.iter().map(|found| found.content.as_str()).collect();
    let window = model.room(Purpose::Document)?;
    let checkpoint = &mut interrupt::checkpoint;
    answer::from_passages(model, model.tokenizer(), window, question, &texts, options, checkpoint)
}

fn passage<'a>(model: &LocalModel, dimensions: usize, found: &'a Found) -> Result<Passage<'a>> {
    let text = found.content.as_str();
    let tokens = model.tokenizer().tokens(text)?.offsets;
    Ok(Passage {
        text,
        span: 0..text.len(),
        bits: TokenBits::from_bytes(dimensions, found.bits.as_deref().unwrap_or_default())?,
        heading_tokens: found.heading_tokens,
        tokens: tokens.into_iter().map(|(from, to)| from as usize..to as usize).collect(),
        score: found.score,
    })
}

/// A citation as SQL shows it; offsets count characters of the document from 0.
fn citation(outcome: &Outcome, citation: &Citation) -> Value {
    let found = &outcome.found[citation.passage];
    let place = |chars: usize| i64::from(found.char_start) + chars as i64;
    without_nulls(json!({
        "marker": citation.marker,
        "chunk_id": found.chunk_id,
        "document_key": document_key(&outcome.collection, &found.key),
        "quote": citation.quote,
        "char_start": place(citation.chars.start),
        "char_end": place(citation.chars.end),
        "section": found.section,
        "page": found.page,
        "score": (f64::from(citation.score) * 1e4).round() / 1e4,
    }))
}
