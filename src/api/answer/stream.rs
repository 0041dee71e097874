//! `rag_answer_stream`: an answer whose rows come while the model writes it.
//!
//! Rows are made one by one, on demand. The response is read on a thread of its own, which ends with the rows,
//! however they end: a `LIMIT`, a closed cursor, a cancel.
mod response;

use crate::api::answer::collection::{answer, required_generator, search_for, sources};
use crate::api::answer::writing::{Near, Picked, Sources, Writing};
use crate::api::answer::{elements, require_question};
use crate::api::embed::embedder;
use crate::api::search::SearchArguments;
use crate::models::call_log;
use crate::models::remote::Remote;
use crate::search::loading::Loading;
use crate::search::query_log;
use crate::search::query_log::{Answered, Asked, Entry};
use crate::search::query_stats::Counting;
use crate::sys::datum::json::JsonText;
use crate::sys::error::SqlError;
use crate::sys::error::raise;
use crate::sys::interrupt::checkpoint;
use pgrx::JsonB;
use pgrx::prelude::*;
use rag::answer::generate::{GeneratedAnswer, VerifiedQuote, needs_fallback};
use rag::answer::json as answer_json;
use rag::answer::json::{CitedPassage, surrounded};
use rag::answer::stream::{AnswerPiece, Next, Stream};
use rag::answer::{Answer, Options, Status};
use rag::remote::Generator;
use rag::search::query_stats::Kind;
use rag::{Result, memory};
use response::{Response, StreamEvent};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Instant;

/// Kind, content, detail.
type StreamRow = (&'static str, Option<String>, Option<JsonB>);

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_answer_stream(
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
) RETURNS TABLE (kind text, content text, detail jsonb)
    VOLATILE PARALLEL RESTRICTED ROWS 10 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer_stream(text, text, bigint, jsonb, text, text, bigint, float8, bigint, jsonb, text, bool, boolean) IS 'an answer from a collection, in rows that come while the model writes it';
", requires = ["catalog", "query_log"])]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // named options, and a row
fn rag_answer_stream_collection(
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
) -> Result<
    TableIterator<
        'static,
        (name!(kind, &'static str), name!(content, Option<String>), name!(detail, Option<JsonB>)),
    >,
    SqlError,
> {
    let (Some(collection), Some(question)) = (collection, question) else {
        return Ok(TableIterator::empty());
    };
    let mut remote = required_generator(model)?;
    let writing = Writing::read(instructions, context, fallback)?;
    let given =
        SearchArguments::of_answer(top_k, filter, per_document, near_duplicate, expand, history);
    let given = SearchArguments { partial, ..given };
    let mut counting = Counting::begin(Kind::Answer);
    let (outcome, options) =
        search_for(collection, question, given, Some(&mut remote), &mut counting)?;
    let loading = outcome.loading.as_ref().map(Loading::message);
    let (near, fallback) = {
        let (places, texts) = sources(&outcome);
        let pick = |options: &Options| answer(question, &outcome, &texts, options);
        let sources = Sources { places: &places, texts: &texts };
        // By stored token bits: it takes no model.
        let picked = writing.pick(sources, &pick);
        (owned(&remote, sources, &writing, &pick)?, Fallback(Box::new(move || picked)))
    };
    let (places, texts) = near;
    let (started, asked) = (Instant::now(), question.to_owned());
    let question = options.text(question).to_owned();
    let detail_of = move |detail: RowDetail<'_>| match detail {
        RowDetail::Citation(found, text) => {
            surrounded(places[found.passage].verified(found), text, &found.chars)
        }
        RowDetail::End(written) => json!(query_log::record(&Entry {
            query: &asked,
            options: &options,
            outcome: &outcome,
            asked: Asked::Answer(Answered {
                text: &written.text,
                status: written.status.as_str(),
                confidence: None,
                took: started.elapsed(),
            }),
        })),
    };
    let asking = Asking { question: &question, texts, instructions, loading, fallback };
    Ok(TableIterator::new(rows(remote, asking, detail_of, Some(counting))?))
}

/// What a model is given of the sources, as texts of its own.
fn owned(
    remote: &Remote,
    sources: Sources<'_>,
    writing: &Writing<'_>,
    pick: &impl Fn(&Options) -> Result<Answer>,
) -> Result<(Vec<CitedPassage>, Vec<String>)> {
    let near = writing.narrow(remote, sources, pick)?;
    let Sources { places, texts } = near.as_ref().map_or(sources, Near::sources);
    let texts = texts.iter().map(|text| memory::copy(text)).collect::<Result<_>>()?;
    Ok((places.to_vec(), texts))
}

/// The same from bare passages.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_answer_stream(question text, passages text[], model text = NULL, instructions text = NULL, context text = NULL, fallback bool = true)
    RETURNS TABLE (kind text, content text, detail jsonb)
    VOLATILE PARALLEL RESTRICTED ROWS 10 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer_stream(text, text[], text, text, text, bool) IS 'an answer from passages, in rows that come while the model writes it';
", requires = ["catalog"])]
// The columns are the API, and pgrx passes arrays by value.
#[allow(clippy::type_complexity, clippy::needless_pass_by_value)]
fn rag_answer_stream_passages(
    question: Option<&str>,
    passages: Option<Array<'_, &str>>,
    model: Option<&str>,
    instructions: Option<&str>,
    context: Option<&str>,
    fallback: Option<bool>,
) -> Result<
    TableIterator<
        'static,
        (name!(kind, &'static str), name!(content, Option<String>), name!(detail, Option<JsonB>)),
    >,
    SqlError,
> {
    let Some(question) = question else { return Ok(TableIterator::empty()) };
    require_question(question)?;
    let remote = required_generator(model)?;
    let writing = Writing::read(instructions, context, fallback)?;
    let (all_places, all_texts) = elements(passages.as_ref())?;
    let pick = |options: &Options| super::answer(question, &all_texts, embedder(None)?, options);
    let sources = Sources { places: &all_places, texts: &all_texts };
    let (places, texts) = owned(&remote, sources, &writing, &pick)?;
    let fallback = lazily(question, all_places.clone(), &all_texts, fallback)?;
    let detail_of = move |detail: RowDetail<'_>| match detail {
        RowDetail::Citation(found, text) => {
            surrounded(places[found.passage].verified(found), text, &found.chars)
        }
        RowDetail::End(_) => Value::Null,
    };
    let asking = Asking { question, texts, instructions, loading: None, fallback };
    Ok(TableIterator::new(rows(remote, asking, detail_of, None)?))
}

/// Picks sentences of passages when they are needed: that takes a model.
fn lazily(
    question: &str,
    places: Vec<CitedPassage>,
    texts: &[&str],
    fallback: Option<bool>,
) -> Result<Fallback> {
    let question = question.to_owned();
    let texts: Vec<String> = texts.iter().map(|text| memory::copy(text)).collect::<Result<_>>()?;
    Ok(Fallback(Box::new(move || {
        let writing = Writing::read(None, None, fallback).ok()?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let pick = |options: &Options| super::answer(&question, &texts, embedder(None)?, options);
        writing.pick(Sources { places: &places, texts: &texts }, &pick)
    })))
}

/// What the two forms of the function show differently.
enum RowDetail<'a> {
    /// A citation as JSON, of a passage with this text.
    Citation(&'a VerifiedQuote, &'a str),
    /// The end: the number of the query in the log, if it is there.
    End(&'a GeneratedAnswer),
}

/// Gives the answer in the passages' own sentences, if there is to be one.
struct Fallback(Box<dyn FnOnce() -> Option<Picked>>);

/// What is asked, and what else an answer is made of.
struct Asking<'a> {
    question: &'a str,
    texts: Vec<String>,
    instructions: Option<&'a str>,
    /// Why not all documents can be found yet, if so.
    loading: Option<String>,
    fallback: Fallback,
}

fn rows(
    remote: Box<Remote>,
    asking: Asking<'_>,
    detail_of: impl Fn(RowDetail<'_>) -> Value + 'static,
    counting: Option<Counting>,
) -> Result<AnswerRows> {
    let Asking { question, texts, instructions, loading, fallback } = asking;
    let (stream, first) = Stream::begin(&Generator(&remote), question, texts, instructions)?;
    let response = first.map(|conversation| Response::start(&remote, conversation)).transpose()?;
    let mut answering = AnswerRows {
        stream,
        response,
        detail_of: Box::new(detail_of),
        counting,
        loading,
        fallback: Some(fallback),
        rows: VecDeque::new(),
        is_done: false,
        remote,
    };
    if answering.response.is_none() {
        let written = answering.stream.written();
        answering.end(written);
    }
    Ok(answering)
}

/// The rows of an answer that is being written.
struct AnswerRows {
    stream: Stream,
    response: Option<Response>,
    detail_of: Box<dyn Fn(RowDetail<'_>) -> Value>,
    /// Where the passages are a collection's.
    counting: Option<Counting>,
    /// Why not all documents can be found yet, if so.
    loading: Option<String>,
    fallback: Option<Fallback>,
    /// Those that are ready.
    rows: VecDeque<StreamRow>,
    is_done: bool,
    remote: Box<Remote>,
}

impl Iterator for AnswerRows {
    type Item = StreamRow;

    fn next(&mut self) -> Option<StreamRow> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return Some(row);
            }
            if self.is_done {
                return None;
            }
            self.advance().unwrap_or_else(|error| raise(error));
        }
    }
}

impl AnswerRows {
    /// Waits for the next event of the response.
    fn advance(&mut self) -> Result<()> {
        let Some(response) = &mut self.response else {
            self.is_done = true;
            return Ok(());
        };
        match response.next_event()? {
            StreamEvent::Delta(text) => {
                let pieces = self.stream.push(&text);
                checkpoint()?;
                self.show(pieces);
            }
            StreamEvent::End(generated) => {
                self.response = None;
                let next = generated.and_then(|generated| self.stream.end_turn(generated));
                // Quotes are not found in a passage that there was no memory to read.
                checkpoint()?;
                match next {
                    Ok(Next::Ask(again)) => {
                        self.response = Some(Response::start(&self.remote, again)?);
                    }
                    Ok(Next::Done(pieces, written)) => {
                        self.show(pieces);
                        self.end_or_fall_back(Ok(*written))?;
                    }
                    Err(error) => self.end_or_fall_back(Err(error))?,
                }
            }
        }
        Ok(())
    }

    /// The end of an answer, or of the one that takes its place.
    fn end_or_fall_back(&mut self, mut written: Result<GeneratedAnswer>) -> Result<()> {
        if let Some(why) = needs_fallback(&written)
            && let Some(Picked { text, citations }) =
                self.fallback.take().and_then(|fallback| fallback.0())
        {
            for citation in citations {
                let quote = citation["quote"].as_str().map(str::to_owned);
                self.rows.push_back(("citation", quote, Some(JsonB(citation))));
            }
            self.rows.push_back(("text", Some(text.clone()), None));
            let mut answer = written.unwrap_or_else(|_| self.stream.written());
            (answer.status, answer.text, answer.usage.fallback) =
                (Status::Answered, text, Some(why));
            written = Ok(answer);
        }
        written.map(|written| self.end(written))
    }

    fn show(&mut self, pieces: Vec<AnswerPiece>) {
        for piece in pieces {
            self.rows.push_back(match piece {
                AnswerPiece::Text(text) => ("text", Some(text), None),
                AnswerPiece::Citation(found) => {
                    let text = self.stream.passage(found.passage);
                    let detail = (self.detail_of)(RowDetail::Citation(&found, text));
                    ("citation", Some(found.quote), Some(JsonB(detail)))
                }
            });
        }
    }

    /// The last row, and the ledger.
    fn end(&mut self, written: GeneratedAnswer) {
        self.is_done = true;
        let written = written.or_not_ready(self.loading.as_deref());
        let usage = answer_json::usage(&self.remote.spec().name, &written.usage);
        let claims = answer_json::claims(&written.claims);
        let query_id = (self.detail_of)(RowDetail::End(&written));
        let mut detail = json!({"claims": claims, "usage": usage, "query_id": query_id});
        if written.status == Status::NotReady {
            detail["message"] = json!(written.text);
        }
        if let Some(counting) = self.counting.take() {
            counting.end(written.status != Status::NoAnswer);
        }
        let status = written.status.as_str().to_owned();
        self.rows.push_back(("status", Some(status), Some(JsonB(detail))));
        call_log::note(&self.remote.take_records());
    }
}

impl Drop for AnswerRows {
    /// Runs also while a transaction aborts and while a statement is torn down, where no table may be written.
    fn drop(&mut self) {
        self.response = None;
        call_log::leave(&self.remote.take_records());
    }
}
