//! `rag_answer`: sentences that answer a question, quoted, with their offsets.
mod collection;
mod conversation;
mod request;
mod stream;

pub(super) use collection::{answered, generator};

use crate::api::answer::conversation::standalone;
use crate::api::embed::{checked, embedder};
use crate::api::search::turns;
use crate::models::local as model;
use crate::models::local::Named;
use crate::models::remote;
use crate::models::remote::Remote;
use crate::sys::datum::json::JsonText;
use crate::sys::error::SqlError;
use crate::sys::{guc, interrupt, limit};
use pgrx::JsonB;
use pgrx::prelude::*;
use rag::answer::generate::{GeneratedAnswer, VerifiedQuote, generate};
use rag::answer::json::{AnswerForm, CitedPassage, surrounded};
use rag::answer::{self, Answer, Citation, Options, Status};
use rag::model::{LocalModel, Purpose};
use rag::remote::{Client, Generator, RemoteKind};
use rag::{Error, Result};
use serde_json::{Value, json};

/// Answers from bare passages; always one row.
///
/// STABLE because it reads a model; PARALLEL RESTRICTED because only the leader inherits or loads one.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_answer(question text, passages text[], model text = NULL, instructions text = NULL, history jsonb = NULL, format text = 'text') RETURNS TABLE (
    answer text,
    citations jsonb,
    status text,
    confidence float8,
    claims jsonb,
    usage jsonb
) STABLE PARALLEL RESTRICTED COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer(text, text[], text, text, jsonb, text) IS 'an answer to a question from passages, with quotes and their places';
")]
// The columns are the API, and pgrx passes arrays by value.
#[allow(clippy::type_complexity, clippy::needless_pass_by_value, clippy::too_many_arguments)]
fn rag_answer_passages(
    question: Option<&str>,
    passages: Option<Array<'_, &str>>,
    model: default!(Option<&str>, "NULL"),
    instructions: default!(Option<&str>, "NULL"),
    history: Option<JsonText>,
    format: Option<&str>,
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
        return Ok(TableIterator::once(null_question_row()));
    };
    require_question(question)?;
    let (places, texts) = elements(passages.as_ref())?;
    let turns = turns(history)?;
    let form = AnswerForm::named(format)?;
    let row = match answering_model(model)? {
        AnsweringModel::Generator(client) => {
            let standalone = standalone(question, &turns, Some(&client))?;
            let question = standalone.as_deref().unwrap_or(question);
            generated(&client, question, &texts, instructions, None, |found| {
                let cited = places[found.passage].verified(found);
                surrounded(cited, texts[found.passage], &found.chars)
            })?
        }
        AnsweringModel::Embedder(model) => {
            refuse_instructions(instructions)?;
            let standalone = standalone(question, &turns, None)?;
            let question = standalone.as_deref().unwrap_or(question);
            let answer = answer(question, &texts, model)?;
            extracted(&answer, &places, &texts)
        }
    };
    let (answer, citations, status, confidence, claims, usage) = row;
    let answer = answer.map(|answer| form.show(answer, &citations.0));
    Ok(TableIterator::once((answer, citations, status, confidence, claims, usage)))
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
pub(super) type AnswerRow =
    (Option<String>, JsonB, String, Option<f64>, Option<JsonB>, Option<JsonB>);

/// The row for a question that is NULL.
fn null_question_row() -> AnswerRow {
    (None, JsonB(json!([])), Status::NoAnswer.as_str().to_owned(), None, None, None)
}

/// The row of an answer in the own sentences of the passages, which are `texts` at `places`.
fn extracted(answer: &Answer, places: &[CitedPassage], texts: &[&str]) -> AnswerRow {
    let show = |cited: &Citation| {
        surrounded(places[cited.passage].scored(cited), texts[cited.passage], &cited.chars)
    };
    let citations = answer.citations.iter().map(show).collect();
    let (status, confidence) = (answer.status.as_str().to_owned(), f64::from(answer.confidence));
    let usage = answer::json::judgement(answer, answer.refused.as_ref().map(show));
    (
        Some(answer.text.clone()),
        JsonB(citations),
        status,
        Some(confidence),
        None,
        Some(JsonB(usage)),
    )
}

/// The row of an answer from `passages`, which are not all there is while `loading`; `show` makes JSON of a citation.
fn generated(
    client: &Client,
    question: &str,
    passages: &[&str],
    instructions: Option<&str>,
    loading: Option<&str>,
    show: impl Fn(&VerifiedQuote) -> Value,
) -> Result<AnswerRow> {
    let generator = Generator(client);
    let checkpoint = &mut interrupt::checkpoint;
    limit::texts(instructions)?;
    let written = generate(&generator, question, passages, instructions, checkpoint)?;
    let GeneratedAnswer { status, text, citations, claims, usage } = written.or_not_ready(loading);
    let citations = citations.iter().map(show).collect();
    let (claims, usage) =
        (answer::json::claims(&claims), answer::json::usage(&client.spec().name, &usage));
    let status = status.as_str().to_owned();
    Ok((Some(text), JsonB(citations), status, None, Some(JsonB(claims)), Some(JsonB(usage))))
}

/// The model that answers.
enum AnsweringModel {
    /// Selects sentences.
    Embedder(&'static LocalModel),
    /// Generates text.
    Generator(Box<Remote>),
}

fn answering_model(name: Option<&str>) -> Result<AnsweringModel> {
    model::require_utf8()?;
    match name.map(|name| model::named(Some(name))).transpose()? {
        None => Ok(AnsweringModel::Embedder(embedder(None)?)),
        Some(Named::Local(model)) => {
            Ok(AnsweringModel::Embedder(checked(model::ready_embedder(model)?)?))
        }
        Some(Named::Remote(client)) => {
            remote::require(&client, RemoteKind::Generator)?;
            Ok(AnsweringModel::Generator(client))
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
