//! `rag_answer`: sentences that answer a question, quoted with their places.
mod collection;

use super::embed::embedder;
use crate::answer::{self, Answer, Citation, Options, Status};
use crate::model::Purpose;
use crate::pg::{guc, interrupt};
use crate::{Error, Result};
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::json;

extension_sql_file!("../../../sql/answer.sql", name = "answer", requires = [rag_answer_passages]);

/// Answers from bare passages; always one row.
///
/// STABLE because it reads a model; PARALLEL RESTRICTED because only the leader inherits or loads one.
#[pg_extern(stable, parallel_restricted, cost = 100000, name = "rag_answer")]
// The columns are the API, and pgrx passes arrays by value.
#[allow(clippy::type_complexity, clippy::needless_pass_by_value)]
fn rag_answer_passages(
    question: Option<&str>,
    passages: Option<Array<'_, &str>>,
    model: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(answer, Option<String>),
            name!(citations, JsonB),
            name!(status, String),
            name!(confidence, Option<f64>),
        ),
    >,
    pg_sys::panic::ErrorReport,
> {
    let Some(question) = question else {
        let status = Status::NoAnswer.as_str().to_owned();
        return Ok(TableIterator::once((None, JsonB(json!([])), status, None)));
    };
    if question.trim().is_empty() {
        return Err(Error::invalid_argument("cannot answer an empty question")
            .with_hint("Pass NULL for a question that is missing; it has no answer.")
            .into());
    }
    // Places in the array, so that citations can name them when elements are NULL.
    let present: Vec<(usize, &str)> = (1..)
        .zip(passages.iter().flat_map(Array::iter))
        .filter_map(|(ordinal, passage)| Some((ordinal, passage?)))
        .collect();
    let texts: Vec<&str> = present.iter().map(|(_, passage)| *passage).collect();
    let Answer { status, text, citations, confidence } = answer(question, &texts, model)?;
    let citations = citations.iter().map(|c| citation(present[c.passage].0, c)).collect();
    Ok(TableIterator::once((
        Some(text),
        JsonB(citations),
        status.as_str().to_owned(),
        Some(f64::from(confidence)),
    )))
}

fn answer(question: &str, passages: &[&str], model: Option<&str>) -> Result<Answer> {
    let options = Options { threshold: guc::answer::threshold(), ..Options::default() };
    let model = embedder(model)?;
    let window = model.room(Purpose::Document)?;
    let tokenizer = model.tokenizer();
    let checkpoint = &mut interrupt::checkpoint;
    answer::from_passages(model, tokenizer, window, question, passages, &options, checkpoint)
}

/// A citation as SQL shows it; offsets count characters from 0.
fn citation(ordinal: usize, citation: &Citation) -> serde_json::Value {
    json!({
        "marker": citation.marker,
        "passage": ordinal,
        "quote": citation.quote,
        "char_start": citation.chars.start,
        "char_end": citation.chars.end,
        "score": (f64::from(citation.score) * 1e4).round() / 1e4,
    })
}
