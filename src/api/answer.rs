//! `rag_answer`: sentences that answer a question, quoted, with their offsets.
mod collection;
mod conversation;
mod request;
mod stream;
mod writing;

pub(super) use collection::{answered, generator};
pub(super) use writing::Writing;

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
use rag::answer::generate::{GeneratedAnswer, Usage, generate_counted};
use rag::answer::json::{AnswerForm, CitedPassage};
use rag::answer::{self, Answer, Citation, Options, Status};
use rag::model::{LocalModel, Purpose};
use rag::remote::{Client, Generator, RemoteKind};
use rag::{Error, Result};
use serde_json::{Value, json};
use writing::{Near, Picked, Sources};

/// Answers from bare passages; always one row.
///
/// STABLE because it reads a model; PARALLEL RESTRICTED because only the leader inherits or loads one.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_answer(question text, passages text[], model text = NULL, instructions text = NULL, history jsonb = NULL, context text = NULL, fallback bool = true, format text = 'text') RETURNS TABLE (
    answer text,
    citations jsonb,
    status text,
    confidence float8,
    claims jsonb,
    usage jsonb
) STABLE PARALLEL RESTRICTED COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer(text, text[], text, text, jsonb, text, bool, text) IS 'an answer to a question from passages, with quotes and their places';
")]
// The columns are the API, and pgrx passes arrays by value.
#[allow(clippy::type_complexity, clippy::needless_pass_by_value, clippy::too_many_arguments)]
fn rag_answer_passages(
    question: Option<&str>,
    passages: Option<Array<'_, &str>>,
    model: default!(Option<&str>, "NULL"),
    instructions: default!(Option<&str>, "NULL"),
    history: Option<JsonText>,
    context: Option<&str>,
    fallback: Option<bool>,
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
    let writing = Writing::read(instructions, context, fallback)?;
    let form = AnswerForm::named(format)?;
    let sources = Sources { places: &places, texts: &texts };
    let row = match answering_model(model)? {
        AnsweringModel::Generator(client) => {
            let standalone = standalone(question, &turns, Some(&client))?;
            let question = standalone.as_deref().unwrap_or(question);
            let pick = |options: &Options| answer(question, &texts, embedder(None)?, options);
            generated(&client, question, sources, &writing, None, pick)?
        }
        AnsweringModel::Embedder(model) => {
            refuse_instructions(instructions)?;
            let standalone = standalone(question, &turns, None)?;
            let question = standalone.as_deref().unwrap_or(question);
            let answer = answer(question, &texts, model, &default_options())?;
            extracted(&answer, sources)
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

/// The row of an answer in the own sentences of `sources`.
fn extracted(answer: &Answer, sources: Sources<'_>) -> AnswerRow {
    let show = |cited: &Citation| sources.scored(cited);
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

/// The row of an answer from `sources`, which are not all there is while `loading`; `pick` picks sentences of them.
fn generated(
    client: &Client,
    question: &str,
    sources: Sources<'_>,
    writing: &Writing<'_>,
    loading: Option<&str>,
    pick: impl Fn(&Options) -> Result<Answer>,
) -> Result<AnswerRow> {
    let near = writing.narrow(client, sources, &pick)?;
    let given = near.as_ref().map_or(sources, Near::sources);
    let (generator, mut usage) = (Generator(client), Usage::default());
    let checkpoint = &mut interrupt::checkpoint;
    let instructions = writing.instructions;
    let written =
        generate_counted(&generator, question, given.texts, instructions, &mut usage, checkpoint);
    let json = |usage: &Usage| JsonB(answer::json::usage(&client.spec().name, usage));
    let answered = Status::Answered.as_str().to_owned();
    if let Some((Picked { text, citations }, why)) = writing.fall_back(&written, sources, &pick) {
        usage.fallback = Some(why);
        let claims = written.map(|written| answer::json::claims(&written.claims)).ok();
        let citations = JsonB(Value::Array(citations));
        return Ok((Some(text), citations, answered, None, claims.map(JsonB), Some(json(&usage))));
    }
    let GeneratedAnswer { status, text, citations, claims, usage } = written?.or_not_ready(loading);
    let citations = citations.iter().map(|found| given.verified(found)).collect();
    let (claims, usage) = (JsonB(answer::json::claims(&claims)), json(&usage));
    Ok((Some(text), JsonB(citations), status.as_str().to_owned(), None, Some(claims), Some(usage)))
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

/// Options of an answer in the passages' own sentences.
fn default_options() -> Options {
    Options { threshold: guc::answer::threshold(), ..Options::default() }
}

fn answer(
    question: &str,
    passages: &[&str],
    model: &LocalModel,
    options: &Options,
) -> Result<Answer> {
    let window = model.room(Purpose::Document)?;
    let tokenizer = model.tokenizer();
    let quoted = |options: &Options| {
        let checkpoint = &mut interrupt::checkpoint;
        answer::from_passages(model, tokenizer, window, question, passages, options, checkpoint)
    };
    if options.may_refuse() && !tokenizer.has_words_for(question)? {
        return Ok(quoted(&options.always())?.unjudged(&model.manifest().name, options));
    }
    quoted(options)
}
