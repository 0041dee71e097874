//! `rag_answer_stream`: an answer whose rows come while the model writes it.
//!
//! Rows are made one by one, on demand. The response is read on a thread of its own, which ends with the rows,
//! however they end: a `LIMIT`, a closed cursor, a cancel.
mod response;

use crate::api::answer::collection::{required_generator, search_for, sources};
use crate::api::answer::{elements, require_question};
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
use crate::sys::limit;
use pgrx::JsonB;
use pgrx::prelude::*;
use rag::answer::Status;
use rag::answer::generate::{GeneratedAnswer, VerifiedQuote};
use rag::answer::json as answer_json;
use rag::answer::stream::{AnswerPiece, Next, Stream};
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
    top_k int = 5,
    filter jsonb = NULL,
    model text = NULL,
    instructions text = NULL,
    per_document int = NULL,
    near_duplicate float8 = NULL,
    expand int = 0,
    history jsonb = NULL
) RETURNS TABLE (kind text, content text, detail jsonb)
    VOLATILE PARALLEL RESTRICTED ROWS 10 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer_stream(text, text, int, jsonb, text, text, int, float8, int, jsonb) IS 'an answer from a collection, in rows that come while the model writes it';
", requires = ["catalog", "query_log"])]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // named options, and a row
fn rag_answer_stream_collection(
    collection: Option<&str>,
    question: Option<&str>,
    top_k: Option<i32>,
    filter: Option<JsonText>,
    model: Option<&str>,
    instructions: Option<&str>,
    per_document: Option<i32>,
    near_duplicate: Option<f64>,
    expand: Option<i32>,
    history: Option<JsonText>,
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
    let given =
        SearchArguments::of_answer(top_k, filter, per_document, near_duplicate, expand, history);
    let mut counting = Counting::begin(Kind::Answer);
    let (outcome, options) = search_for(collection, question, given, Some(&remote), &mut counting)?;
    remote.set_collection(outcome.collection.id);
    let (places, texts) = sources(&outcome);
    let loading = outcome.loading.as_ref().map(Loading::message);
    let texts = texts.into_iter().map(memory::copy).collect::<Result<_>>()?;
    let (started, asked) = (Instant::now(), question.to_owned());
    let question = options.text(question).to_owned();
    let detail_of = move |detail: RowDetail<'_>| match detail {
        RowDetail::Citation(found) => places[found.passage].verified(found),
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
    Ok(TableIterator::new(rows(
        remote,
        &question,
        texts,
        instructions,
        loading,
        detail_of,
        Some(counting),
    )?))
}

/// The same from bare passages.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_answer_stream(question text, passages text[], model text = NULL, instructions text = NULL)
    RETURNS TABLE (kind text, content text, detail jsonb)
    VOLATILE PARALLEL RESTRICTED ROWS 10 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_answer_stream(text, text[], text, text) IS 'an answer from passages, in rows that come while the model writes it';
", requires = ["catalog"])]
// The columns are the API, and pgrx passes arrays by value.
#[allow(clippy::type_complexity, clippy::needless_pass_by_value)]
fn rag_answer_stream_passages(
    question: Option<&str>,
    passages: Option<Array<'_, &str>>,
    model: Option<&str>,
    instructions: Option<&str>,
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
    let (places, texts) = elements(passages.as_ref())?;
    let texts = texts.into_iter().map(memory::copy).collect::<Result<_>>()?;
    let detail_of = move |detail: RowDetail<'_>| match detail {
        RowDetail::Citation(found) => places[found.passage].verified(found),
        RowDetail::End(_) => Value::Null,
    };
    Ok(TableIterator::new(rows(remote, question, texts, instructions, None, detail_of, None)?))
}

/// What the two forms of the function show differently.
enum RowDetail<'a> {
    /// A citation as JSON.
    Citation(&'a VerifiedQuote),
    /// The end: the number of the query in the log, if it is there.
    End(&'a GeneratedAnswer),
}

fn rows(
    remote: Box<Remote>,
    question: &str,
    passages: Vec<String>,
    instructions: Option<&str>,
    loading: Option<String>,
    detail_of: impl Fn(RowDetail<'_>) -> Value + 'static,
    counting: Option<Counting>,
) -> Result<AnswerRows> {
    limit::texts(instructions)?;
    let (stream, first) = Stream::begin(&Generator(&remote), question, passages, instructions)?;
    let response = first.map(|conversation| Response::start(&remote, conversation)).transpose()?;
    let mut answering = AnswerRows {
        stream,
        response,
        detail_of: Box::new(detail_of),
        counting,
        loading,
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
                self.show(pieces);
            }
            StreamEvent::End(generated) => {
                self.response = None;
                match self.stream.end_turn(generated?)? {
                    Next::Ask(again) => self.response = Some(Response::start(&self.remote, again)?),
                    Next::Done(pieces, written) => {
                        self.show(pieces);
                        self.end(*written);
                    }
                }
            }
        }
        Ok(())
    }

    fn show(&mut self, pieces: Vec<AnswerPiece>) {
        for piece in pieces {
            self.rows.push_back(match piece {
                AnswerPiece::Text(text) => ("text", Some(text), None),
                AnswerPiece::Citation(found) => {
                    let detail = (self.detail_of)(RowDetail::Citation(&found));
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
