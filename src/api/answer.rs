//! `rag_answer`: sentences that answer a question, quoted, with their offsets.
mod collection;
mod generated;
mod request;
mod stream;

use crate::api::embed::{checked, embedder};
use crate::models::local as model;
use crate::models::local::Named;
use crate::models::remote;
use crate::models::remote::Remote;
use crate::sys::error::SqlError;
use crate::sys::{guc, interrupt, limit};
use pgrx::JsonB;
use pgrx::prelude::*;
use rag::answer::json::CitedPassage;
use rag::answer::{self, Answer, Citation, Options, Status};
use rag::model::{LocalModel, Purpose};
use rag::remote::Kind;
use rag::{Error, Result};
use serde_json::json;

/// Answers from bare passages; always one row.
///
/// STABLE because it reads a model; PARALLEL RESTRICTED because only the leader inherits or loads one.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_answer(question text, passages text[], model text = NULL, instructions text = NULL) RETURNS TABLE (
    answer text,
    citations jsonb,
    status text,
    confidence float8,
    claims jsonb,
    usage jsonb
) STABLE PARALLEL RESTRICTED COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer(text, text[], text, text) IS 'an answer to a question from passages, with quotes and their places';
")]
// The columns are the API, and pgrx passes arrays by value.
#[allow(clippy::type_complexity, clippy::needless_pass_by_value)]
fn rag_answer_passages(
    question: Option<&str>,
    passages: Option<Array<'_, &str>>,
    model: default!(Option<&str>, "NULL"),
    instructions: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(answer, Option<String>),
            name!(citations, JsonB),
            name!(status, String),
            name!(confidence, Option<f64>),
            name!(claims, Option<JsonB>),
            name!(usage, Option<JsonB>),
        ),
    >,
    SqlError,
> {
    let Some(question) = question else {
        return Ok(TableIterator::once(unasked()));
    };
    require_question(question)?;
    let (places, texts) = elements(passages.as_ref())?;
    let place = |passage: usize| &places[passage];
    let row = match chosen(model)? {
        Chosen::Generator(client) => {
            generated::row(&client, question, &texts, instructions, None, |found| {
                place(found.passage).verified(found)
            })?
        }
        Chosen::Embedder(model) => {
            refuse_instructions(instructions)?;
            let answer = answer(question, &texts, model)?;
            extracted(&answer, |cited| place(cited.passage).scored(cited))
        }
    };
    Ok(TableIterator::once(row))
}

/// The texts of an array, without its NULLs, with their subscripts.
fn elements<'a>(
    passages: Option<&'a Array<'_, &str>>,
) -> Result<(Vec<CitedPassage>, Vec<&'a str>)> {
    limit::items(passages.map_or(0, Array::len))?;
    let elements = (1..).zip(passages.into_iter().flat_map(Array::iter));
    let (places, texts): (_, Vec<&str>) = elements
        .filter_map(|(ordinal, text)| Some((CitedPassage::of_element(ordinal), text?)))
        .unzip();
    limit::texts(texts.iter().copied())?;
    Ok((places, texts))
}

/// An error when there is no question in a text.
fn require_question(question: &str) -> Result<()> {
    if question.trim().is_empty() {
        return Err(Error::invalid_argument("cannot answer an empty question")
            .with_hint("Pass NULL for a question that is missing; it has no answer."));
    }
    limit::question(question)
}

/// Columns of the result.
type Row = (Option<String>, JsonB, String, Option<f64>, Option<JsonB>, Option<JsonB>);

/// The row for a question that is NULL.
fn unasked() -> Row {
    (None, JsonB(json!([])), Status::NoAnswer.as_str().to_owned(), None, None, None)
}

/// The row of an answer in the passages' own sentences.
fn extracted(answer: &Answer, show: impl Fn(&Citation) -> serde_json::Value) -> Row {
    let citations = answer.citations.iter().map(show).collect();
    let (status, confidence) = (answer.status.as_str().to_owned(), f64::from(answer.confidence));
    (Some(answer.text.clone()), JsonB(citations), status, Some(confidence), None, None)
}

/// The model that answers.
enum Chosen {
    /// Selects sentences.
    Embedder(&'static LocalModel),
    /// Generates text.
    Generator(Box<Remote>),
}

fn chosen(name: Option<&str>) -> Result<Chosen> {
    model::require_utf8()?;
    match name.map(|name| model::named(Some(name))).transpose()? {
        None => Ok(Chosen::Embedder(embedder(None)?)),
        Some(Named::Local(model)) => Ok(Chosen::Embedder(checked(model::ready_embedder(model)?)?)),
        Some(Named::Remote(client)) => {
            remote::require(&client, Kind::Generator)?;
            Ok(Chosen::Generator(client))
        }
    }
}

/// An error where instructions are given to a model that does not generate.
fn refuse_instructions(instructions: Option<&str>) -> Result<()> {
    if instructions.is_none() {
        return Ok(());
    }
    Err(Error::invalid_argument("instructions need a model that writes")
        .with_hint("Name a generator, or leave instructions NULL."))
}

fn answer(question: &str, passages: &[&str], model: &LocalModel) -> Result<Answer> {
    let options = Options { threshold: guc::answer::threshold(), ..Options::default() };
    let window = model.room(Purpose::Document)?;
    let tokenizer = model.tokenizer();
    let checkpoint = &mut interrupt::checkpoint;
    answer::from_passages(model, tokenizer, window, question, passages, &options, checkpoint)
}
