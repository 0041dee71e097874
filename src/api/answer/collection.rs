//! `rag_answer` on a collection: search, then quote what was found.
use crate::api::answer::conversation::standalone;
use crate::api::answer::writing::{Sources, Writing};
use crate::api::answer::{
    AnswerRow, default_options, extracted, generated, null_question_row, refuse_instructions,
};
use crate::api::search::{SearchArguments, require_text, turns};
use crate::models::local as model;
use crate::models::local::Named;
use crate::models::remote;
use crate::models::remote::Remote;
use crate::search::distributed as search;
use crate::search::engine::Outcome;
use crate::search::engine::passages::Quotable;
use crate::search::loading::Loading;
use crate::search::options::Options as SearchOptions;
use crate::search::query_log;
use crate::search::query_log::{Answered, Asked, Entry};
use crate::search::query_stats::Counting;
use crate::sys::datum::json::JsonText;
use crate::sys::error::SqlError;
use crate::sys::interrupt;
use pgrx::JsonB;
use pgrx::prelude::*;
use rag::answer::json::{AnswerForm, CitedPassage};
use rag::answer::{self, Answer, Options, Passage, Status};
use rag::model::{LocalModel, Purpose};
use rag::rerank::TokenBits;
use rag::search::query_stats::Kind;
use rag::{Error, Result};
use serde_json::json;
use std::time::Instant;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_answer(
    collection text,
    question text,
    top_k bigint = 5,
    filter jsonb = NULL,
    model text = NULL,
    instructions text = NULL,
    per_document bigint = NULL,
    near_duplicate float8 = NULL,
    expand bigint = 0,
    history jsonb = NULL,
    context text = NULL,
    fallback bool = true,
    format text = 'text',
    partial boolean = false
) RETURNS TABLE (
    answer text,
    citations jsonb,
    status text,
    confidence float8,
    query_id bigint,
    claims jsonb,
    usage jsonb
) STABLE PARALLEL RESTRICTED ROWS 1 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer(text, text, bigint, jsonb, text, text, bigint, float8, bigint, jsonb, text, bool, text, boolean) IS 'an answer to a question from a collection, with quotes and their places';
", requires = ["catalog", "query_log"])]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // named options, and a row
fn rag_answer_collection(
    collection: Option<&str>,
    question: Option<&str>,
    top_k: Option<i64>,
    filter: Option<JsonText>,
    model: Option<&str>,
    instructions: Option<&str>,
    per_document: Option<i64>,
    near_duplicate: Option<f64>,
    expand: Option<i64>,
    history: Option<JsonText>,
    context: Option<&str>,
    fallback: Option<bool>,
    format: Option<&str>,
    partial: Option<bool>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(answer, Option<String>),
            name!(citations, JsonB),
            name!(status, String),
            name!(confidence, Option<f64>),
            name!(query_id, Option<i64>),
            name!(claims, Option<JsonB>),
            name!(usage, Option<JsonB>),
        ),
    >,
    SqlError,
> {
    let (Some(collection), Some(question)) = (collection, question) else {
        let (answer, citations, status, confidence, claims, usage) = null_question_row();
        let row = (answer, citations, status, confidence, None, claims, usage);
        return Ok(TableIterator::once(row));
    };
    let mut generator = model.map(generator).transpose()?;
    if generator.is_none() {
        refuse_instructions(instructions)?;
    }
    let form = AnswerForm::named(format)?;
    let writing = Writing::read(instructions, context, fallback)?;
    let given =
        SearchArguments::of_answer(top_k, filter, per_document, near_duplicate, expand, history);
    let given = SearchArguments { partial, ..given };
    let mut counting = Counting::begin(Kind::Answer);
    let (outcome, options) =
        search_for(collection, question, given, generator.as_deref_mut(), &mut counting)?;
    let started = Instant::now();
    let row = answered(options.text(question), &outcome, generator, &writing)?;
    let (answer, citations, status, confidence, claims, usage) = row;
    let answered = Answered {
        text: answer.as_deref().unwrap_or_default(),
        status: &status,
        confidence,
        took: started.elapsed(),
    };
    let query_id = query_log::record(&Entry {
        query: question,
        options: &options,
        outcome: &outcome,
        asked: Asked::Answer(answered),
    });
    counting.end(status != Status::NoAnswer.as_str());
    let answer = answer.map(|answer| form.show(answer, &citations.0));
    let row = (answer, citations, status, confidence, query_id, claims, usage);
    Ok(TableIterator::once(row))
}

/// The answer from what a search found: by a generator, or in the documents' own sentences.
pub(in crate::api) fn answered(
    question: &str,
    outcome: &Outcome,
    generator: Option<Box<Remote>>,
    writing: &Writing<'_>,
) -> Result<AnswerRow> {
    let (places, texts) = sources(outcome);
    let sources = Sources { places: &places, texts: &texts };
    let loading = outcome.loading.as_ref().map(Loading::message);
    let Some(mut client) = generator else {
        let answer = answer(question, outcome, &texts, &default_options())?;
        return Ok(extracted(&answer.or_not_ready(loading.as_deref()), sources));
    };
    client.set_collection(outcome.collection.id);
    let pick = |options: &Options| answer(question, outcome, &texts, options);
    generated(&client, question, sources, writing, loading.as_deref(), pick)
}

/// Searches for the passages of an answer; returns the options too.
pub(super) fn search_for(
    collection: &str,
    question: &str,
    mut given: SearchArguments,
    mut generator: Option<&mut Remote>,
    counting: &mut Counting,
) -> Result<(Outcome, SearchOptions)> {
    require_text("question", question)?;
    let turns = turns(given.history.take())?;
    let options = SearchOptions { quotes: true, ..given.read()? };
    if let Some(remote) = generator.as_deref_mut() {
        // Before the call that rewrites the question.
        remote.set_collection(search::collection(collection).map_err(explain_overload)?.id);
    }
    let standalone = standalone(question, &turns, generator.as_deref())?;
    let options = SearchOptions { standalone, ..options };
    let outcome = search::search(collection, question, &options, |id| counting.set_collection(id))
        .map_err(explain_overload)?;
    outcome.loading.iter().for_each(Loading::announce);
    Ok((outcome, options))
}

/// A generator by name. What quotes is not named: it is the collection's own model.
pub(in crate::api) fn generator(name: &str) -> Result<Box<Remote>> {
    let hint = "Leave model NULL for an answer in the documents' own sentences.";
    match model::named(Some(name)) {
        Ok(Named::Remote(client)) => {
            remote::require(&client, rag::remote::RemoteKind::Generator)?;
            Ok(client)
        }
        Ok(Named::Local(_)) => {
            Err(Error::wrong_type(format!("model \"{name}\" is no generator")).with_hint(hint))
        }
        Err(error) if error.is_undefined() => {
            Err(Error::undefined(format!("generator \"{name}\" does not exist")).with_hint(hint))
        }
        Err(error) => Err(error),
    }
}

/// A generator by name; an error without one.
pub(super) fn required_generator(name: Option<&str>) -> Result<Box<Remote>> {
    model::require_utf8()?;
    generator(name.ok_or_else(|| {
        Error::invalid_argument("no model is named that writes the answer")
            .with_hint("Name a generator as model; without one rag_answer is immediate.")
    })?)
}

/// Untyped literals mean the collection form; the hint says how to call the other one.
fn explain_overload(error: Error) -> Error {
    if !error.is_undefined() || !error.message().starts_with("collection ") {
        return error;
    }
    let hint = error.hint().unwrap_or_default().to_owned();
    error.with_hint(format!(
        "{hint} To answer from passages, give an array: rag_answer(question, passages => ARRAY[passage, ...]), or $2::text[] for a parameter."
    ))
}

/// An answer in sentences of what was found.
pub(super) fn answer(
    question: &str,
    outcome: &Outcome,
    texts: &[&str],
    options: &Options,
) -> Result<Answer> {
    if !options.may_refuse() {
        return quoted(question, outcome, texts, options);
    }
    // How like the question a sentence is says nothing in a language that the model does not know.
    let model = sentence_model(outcome)?;
    if !model.tokenizer().has_words_for(question)? {
        let nearest = quoted(question, outcome, texts, &options.always())?;
        return Ok(nearest.unjudged(&model.manifest().name, options));
    }
    if outcome.is_foreign_to_question() {
        return Ok(Answer::none(options));
    }
    quoted(question, outcome, texts, options)
}

/// The sentences of what was found that fit the question best.
fn quoted(question: &str, outcome: &Outcome, texts: &[&str], options: &Options) -> Result<Answer> {
    let Some(tokens) = outcome.question.as_ref().and_then(|question| question.tokens.as_ref())
    else {
        return without_bits(question, outcome, texts, options);
    };
    let (generation, model) = (&outcome.generation, sentence_model(outcome)?);
    let quotable = outcome.quotable();
    let passages = quotable.iter().map(|one| passage(model, generation.dimensions, one));
    let passages = passages.collect::<Result<Vec<_>>>()?;
    answer::extract(question, tokens, &passages, options, &mut interrupt::checkpoint)
}

/// The model that selects sentences: the collection's own or, since remote models give no token vectors, the default one.
fn sentence_model(outcome: &Outcome) -> Result<&'static LocalModel> {
    if !crate::catalog::model::is_remote(&outcome.generation) {
        return crate::catalog::model::local(&outcome.generation);
    }
    model::embedder(None).map_err(|error| {
        let hint = "Name a generator as model, or install the default model: it picks the sentences where \
                    a collection's own runs on another server.";
        error.with_hint(hint)
    })
}

/// For collections that keep no token bits.
fn without_bits(
    question: &str,
    outcome: &Outcome,
    texts: &[&str],
    options: &Options,
) -> Result<Answer> {
    let model = sentence_model(outcome)?;
    // A question without tokens may have found chunks by their lexemes, but selects no sentence.
    if model.tokenizer().count(question)? == 0 {
        return Ok(Answer::none(options));
    }
    let window = model.room(Purpose::Document)?;
    let checkpoint = &mut interrupt::checkpoint;
    answer::from_passages(model, model.tokenizer(), window, question, texts, options, checkpoint)
}

/// The bits are those of the whole chunk: tokens of the skipped text are skipped, as those of its heading path are.
fn passage<'a>(
    model: &LocalModel,
    dimensions: usize,
    quotable: &Quotable<'a>,
) -> Result<Passage<'a>> {
    let Quotable { chunk, text, skipped, .. } = *quotable;
    let tokens = model.tokenizer().tokens(&chunk.content)?.offsets;
    let tokens = tokens.into_iter().map(|(from, to)| from as usize..to as usize);
    let (before, tokens): (Vec<_>, Vec<_>) = tokens.partition(|token| token.start < skipped);
    Ok(Passage {
        text,
        heading: chunk.section.as_deref().unwrap_or_default(),
        span: 0..text.len(),
        bits: TokenBits::from_bytes(dimensions, chunk.bits.as_deref().unwrap_or_default())?,
        heading_tokens: usize::try_from(chunk.heading_tokens).unwrap_or_default() + before.len(),
        tokens: tokens.into_iter().map(|t| t.start - skipped..t.end - skipped).collect(),
        score: chunk.score,
    })
}

/// The texts that an answer may quote, and what to cite of each. Offsets count characters of the document from 0.
pub(super) fn sources(outcome: &Outcome) -> (Vec<CitedPassage>, Vec<&str>) {
    let place = |Quotable { chunk, text, char_start, .. }| {
        let mut source = json!({
            "chunk_id": chunk.chunk_id,
            "document_key": outcome.collection.document_key(&chunk.key),
            "section": chunk.section,
            "page": chunk.page,
        });
        for (key, value) in chunk.place() {
            source[key] = value.clone();
        }
        (CitedPassage::new(char_start, source), text)
    };
    outcome.quotable().into_iter().map(place).unzip()
}
