//! `rag_answer_submit`, `rag_answer_fetch` and `rag_answer_cancel`: answers that workers get.
use crate::answer::request as answer_request;
use crate::answer::request::{RequestState, Submission};
use crate::api::answer::collection::{answer, required_generator, search_for, sources};
use crate::api::answer::writing::{Near, Picked, Sources, Writing};
use crate::api::answer::{elements, require_question};
use crate::api::embed::embedder;
use crate::api::search::SearchArguments;
use crate::models::remote::Remote;
use crate::search::loading::Loading;
use crate::search::query_log;
use crate::search::query_log::{Asked, Entry};
use crate::search::query_stats::Counting;
use crate::sys::datum::json::{JsonText, without_nulls};
use crate::sys::error::SqlError;
use crate::sys::workers::wake::{answers_written, ensure_answer_worker};
use pgrx::JsonB;
use pgrx::datum::Uuid;
use pgrx::prelude::*;
use rag::Result;
use rag::answer::generate::passages_that_fit;
use rag::answer::{Answer, Options};
use rag::remote::Generator;
use rag::search::query_stats::Kind;
use serde_json::json;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_answer_submit(
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
    partial boolean = false
) RETURNS uuid VOLATILE PARALLEL UNSAFE COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer_submit(text, text, bigint, jsonb, text, text, bigint, float8, bigint, jsonb, text, bool, boolean) IS 'searches a collection and leaves it to a worker to have a model answer; returns the number of the request';
", requires = ["catalog", "query_log", "answer_request"])]
#[allow(clippy::too_many_arguments)] // named options
fn rag_answer_submit_collection(
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
    partial: Option<bool>,
) -> Result<Option<Uuid>, SqlError> {
    let (Some(collection), Some(question)) = (collection, question) else { return Ok(None) };
    let mut remote = required_generator(model)?;
    let writing = Writing::read(instructions, context, fallback)?;
    let given =
        SearchArguments::of_answer(top_k, filter, per_document, near_duplicate, expand, history);
    let given = SearchArguments { partial, ..given };
    let mut counting = Counting::begin(Kind::Answer);
    let (outcome, options) =
        search_for(collection, question, given, Some(&mut remote), &mut counting)?;
    let (places, texts) = sources(&outcome);
    let loading = outcome.loading.as_ref().map(Loading::message);
    let query_id = query_log::record(&Entry {
        query: question,
        options: &options,
        outcome: &outcome,
        asked: Asked::AnswerLater,
    });
    let question = options.text(question);
    let pick = |options: &Options| answer(question, &outcome, &texts, options);
    let sources = Sources { places: &places, texts: &texts };
    let of = Submission {
        collection: Some(outcome.collection.id),
        query_id,
        loading,
        ..Submission::default()
    };
    let id = submit(&remote, question, sources, &writing, of, pick)?;
    counting.hand_over();
    Ok(Some(id))
}

/// The same from bare passages.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_answer_submit(question text, passages text[], model text = NULL, instructions text = NULL, context text = NULL, fallback bool = true)
    RETURNS uuid VOLATILE PARALLEL UNSAFE COST 1000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer_submit(text, text[], text, text, text, bool) IS 'leaves it to a worker to have a model answer from passages; returns the number of the request';
", requires = ["catalog", "answer_request"])]
#[allow(clippy::needless_pass_by_value)] // pgrx passes arrays by value
fn rag_answer_submit_passages(
    question: Option<&str>,
    passages: Option<Array<'_, &str>>,
    model: Option<&str>,
    instructions: Option<&str>,
    context: Option<&str>,
    fallback: Option<bool>,
) -> Result<Option<Uuid>, SqlError> {
    let Some(question) = question else { return Ok(None) };
    require_question(question)?;
    let remote = required_generator(model)?;
    let writing = Writing::read(instructions, context, fallback)?;
    let (places, texts) = elements(passages.as_ref())?;
    let pick = |options: &Options| super::answer(question, &texts, embedder(None)?, options);
    let sources = Sources { places: &places, texts: &texts };
    Ok(Some(submit(&remote, question, sources, &writing, Submission::default(), pick)?))
}

/// Keeps those passages that fit the model's window, and what takes the place of its answer if need be.
fn submit(
    remote: &Remote,
    question: &str,
    sources: Sources<'_>,
    writing: &Writing<'_>,
    of: Submission<'_>,
    pick: impl Fn(&Options) -> Result<Answer>,
) -> Result<Uuid> {
    let near = writing.narrow(remote, sources, &pick)?;
    let Sources { places, texts } = near.as_ref().map_or(sources, Near::sources);
    let instructions = writing.instructions;
    let fitting = passages_that_fit(&Generator(remote), question, texts, instructions)?;
    let fallback = if fitting.is_empty() { None } else { writing.pick(sources, &pick) };
    let submission = Submission {
        model: &remote.spec().name,
        question,
        instructions,
        passages: fitting.iter().map(|position| texts[*position]).collect(),
        places: fitting.iter().map(|position| places[*position].clone()).collect(),
        fallback: fallback
            .map(|Picked { text, citations }| json!({"text": text, "citations": citations})),
        ..of
    };
    let id = answer_request::submit(submission)?;
    answers_written();
    Ok(id)
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_answer_fetch(request_id uuid) RETURNS TABLE (
    state text,
    answer text,
    citations jsonb,
    status text,
    query_id bigint,
    claims jsonb,
    usage jsonb,
    error jsonb
) STABLE STRICT PARALLEL RESTRICTED ROWS 1 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer_fetch IS 'what became of a request that rag_answer_submit made';
", requires = ["answer_request"])]
#[allow(clippy::type_complexity)] // a row
fn rag_answer_fetch(
    request_id: Uuid,
) -> Result<
    TableIterator<
        'static,
        (
            name!(state, String),
            name!(answer, Option<String>),
            name!(citations, Option<JsonB>),
            name!(status, Option<String>),
            name!(query_id, Option<i64>),
            name!(claims, Option<JsonB>),
            name!(usage, Option<JsonB>),
            name!(error, Option<JsonB>),
        ),
    >,
    SqlError,
> {
    let found = answer_request::fetch(request_id)?;
    if matches!(&*found.state, "queued" | "running") {
        ensure_answer_worker();
    }
    let RequestState { sqlstate, message, detail, hint, .. } = found;
    let error = sqlstate.map(|sqlstate| {
        let message = message.unwrap_or_default();
        JsonB(without_nulls(
            json!({"sqlstate": sqlstate, "message": message, "detail": detail, "hint": hint}),
        ))
    });
    let RequestState { state, answer, citations, status, query_id, claims, usage, .. } = found;
    let row = (state, answer, citations, status, query_id, claims, usage, error);
    Ok(TableIterator::once(row))
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_answer_cancel(request_id uuid) RETURNS boolean
    VOLATILE STRICT PARALLEL UNSAFE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer_cancel IS 'cancels a request that rag_answer_submit made; false when it had ended already';
", requires = ["answer_request"])]
fn rag_answer_cancel(request_id: Uuid) -> Result<bool, SqlError> {
    let was_open = answer_request::cancel(request_id)?;
    if was_open {
        answers_written();
    }
    Ok(was_open)
}
