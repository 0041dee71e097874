//! The queue of answers that workers write: requests, and their results.
//!
//! The passages are searched for when the request is submitted, with the caller's rights. Workers only call the model, which takes
//! seconds and needs no rights.
use crate::sys::guc;
use crate::sys::privileges::current_user;
use crate::sys::rights::as_extension_owner;
use crate::sys::rows::{ColumnType, row};
use crate::sys::spi::{column, execute, fill, query, read, required};
use pgrx::JsonB;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone, Uuid};
use pgrx::pg_sys::{self, Oid};
use pgrx::spi::SpiHeapTupleData;
use rag::answer::generate::{GeneratedAnswer, VerifiedQuote};
use rag::answer::json::{self, CitedPassage, surrounded};
use rag::{Error, Result};
use serde_json::Value;
use std::time::Duration;

/// Most requests deleted at once.
const PRUNE_BATCH: i32 = 1_000;

/// A question and its passages.
#[derive(Default)]
pub struct Submission<'a> {
    /// Name of a generator.
    pub model: &'a str,
    pub question: &'a str,
    /// Wishes about style and content.
    pub instructions: Option<&'a str>,
    /// The best first.
    pub passages: Vec<&'a str>,
    /// What to cite of each.
    pub places: Vec<CitedPassage>,
    /// The collection that was searched.
    pub collection: Option<i32>,
    /// The number of the question in the query log.
    pub query_id: Option<i64>,
    /// Why not all documents could be found, if so.
    pub loading: Option<String>,
    /// Text and citations of the answer that takes the place of the model's if need be.
    pub fallback: Option<Value>,
}

row! {
    /// A request that this process has claimed: a row of `sql/run/answer/claim.sql`.
    pub struct AnswerRequest {
        pub id: Uuid,
        /// Role that submitted it.
        pub role: Oid,
        /// The collection that was searched.
        pub collection: Option<i32>,
        /// The number of the question in the query log.
        pub query_id: Option<i64>,
        /// Name of a generator.
        pub model: String,
        pub question: String,
        /// Wishes about style and content.
        pub instructions: Option<String>,
        /// The best first.
        pub passages: Vec<String>,
        /// What to cite of each.
        pub places: Places,
        /// How often the provider put it off.
        pub attempts: u32,
        /// Time since it was submitted.
        pub age: Duration,
        /// Why not all documents could be found then, if so.
        pub loading: Option<String>,
        /// See [`Submission::fallback`].
        pub fallback: Option<JsonB>,
    }
}

/// The places of a request's passages, stored as `jsonb`.
pub struct Places(Vec<CitedPassage>);

impl ColumnType for Places {
    fn column(row: &SpiHeapTupleData<'_>, position: usize) -> Self {
        let JsonB(places) = required(row, position);
        Self(places.as_array().into_iter().flatten().filter_map(CitedPassage::read).collect())
    }
}

/// The parts of an error that a request ended with.
#[derive(Debug, Clone)]
pub struct Problem {
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            sqlstate: error.sqlstate().to_owned(),
            message: error.message().to_owned(),
            detail: owned(error.detail()),
            hint: owned(error.hint()),
        }
    }
}

row! {
    /// A request as its role sees it: a row of `sql/run/answer/fetch.sql`.
    pub struct RequestState {
        /// `queued`, `running`, `done`, `failed` or `canceled`.
        pub state: String,
        pub answer: Option<String>,
        pub citations: Option<JsonB>,
        /// Status of the answer.
        pub status: Option<String>,
        /// The number of the question in the query log.
        pub query_id: Option<i64>,
        /// Claims of the model.
        pub claims: Option<JsonB>,
        pub usage: Option<JsonB>,
        /// Of the error that it ended with, or was put off for.
        pub sqlstate: Option<String>,
        pub message: Option<String>,
        pub detail: Option<String>,
        pub hint: Option<String>,
    }
}

/// Puts a question into the queue of the caller's role.
pub fn submit(submission: Submission<'_>) -> Result<Uuid> {
    let limit = guc::answer::max_queued();
    let places = submission.places.iter().map(CitedPassage::to_json).collect();
    let args = [
        current_user().into(),
        submission.collection.into(),
        submission.query_id.into(),
        submission.model.into(),
        submission.question.into(),
        submission.instructions.into(),
        submission.passages.into(),
        JsonB(places).into(),
        limit.into(),
        submission.loading.into(),
        submission.fallback.map(JsonB).into(),
    ];
    let sql = statement!("answer/insert");
    let mut ids = as_extension_owner(|| query(sql, &args, |row| required(&row, 1)));
    ids.pop().ok_or_else(|| {
        Error::limit_exceeded(format!("{limit} answers of this role are waiting already"))
            .with_detail("The setting rag_pg.max_queued_answers says how many may.")
            .with_hint("Wait until some are done, or cancel some: rag.answer_request lists them.")
    })
}

/// The state of a request.
pub fn fetch(id: Uuid) -> Result<RequestState> {
    let sql = statement!("answer/fetch");
    let args = [id.into(), current_user().into()];
    let mut found = as_extension_owner(|| read(sql, &args, |row| RequestState::read(&row)));
    found.pop().ok_or_else(|| unknown(id))
}

/// Cancels a request; false when it had ended already.
pub fn cancel(id: Uuid) -> Result<bool> {
    let sql = statement!("answer/cancel");
    let args = [id.into(), current_user().into()];
    if as_extension_owner(|| execute(sql, &args)) > 0 {
        notify(id);
        return Ok(true);
    }
    fetch(id).map(|_| false)
}

fn unknown(id: Uuid) -> Error {
    Error::undefined(format!("answer request \"{id}\" does not exist")).with_hint(
        "Only the role that submitted it sees it, and rag_pg.answer_request_retention after its end it is deleted.",
    )
}

/// When the next queued request is ready, as a `timestamptz`; `None` if none is queued.
pub fn ready_at() -> Option<i64> {
    let sql = statement!("answer/ready");
    let at = as_extension_owner(|| read(sql, &[], |row| column::<TimestampWithTimeZone>(&row, 1)));
    at.into_iter().flatten().next().map(pg_sys::TimestampTz::from)
}

/// Whether some request has not ended.
pub fn is_open() -> bool {
    let sql = statement!("answer/is_open");
    as_extension_owner(|| read(sql, &[], |row| required::<bool>(&row, 1))) == [true]
}

/// Claims up to `limit` requests of `role` and of roles that it has the rights of. `held` are requests of this process that do
/// not count against a model's concurrency, since their models are done.
pub fn claim(limit: usize, role: Oid, held: Vec<Uuid>) -> Vec<AnswerRequest> {
    let sql = statement!("answer/claim");
    let args = [i64::try_from(limit).unwrap_or(i64::MAX).into(), role.into(), held.into()];
    as_extension_owner(|| query(sql, &args, |row| AnswerRequest::read(&row)))
}

/// Fails the requests of processes that are gone, and returns their ids.
pub fn release_lost() -> Vec<Uuid> {
    let sql = statement!("answer/release_lost");
    as_extension_owner(|| query(sql, &[], |row| required(&row, 1)))
}

/// Fails the requests that were copied with the database, and returns their ids.
pub fn release_copied() -> Vec<Uuid> {
    let sql = statement!("answer/release_copied");
    as_extension_owner(|| query(sql, &[], |row| required(&row, 1)))
}

/// Those of `ids`, which this process has claimed, that were canceled.
pub fn canceled(ids: Vec<Uuid>) -> Vec<Uuid> {
    let sql = statement!("answer/unwanted");
    as_extension_owner(|| read(sql, &[ids.into()], |row| required(&row, 1)))
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Written.
    Written,
    /// It was canceled before.
    Canceled,
    /// A session that may be about to cancel it has its row locked: try again.
    RowLocked,
}

/// Writes the result of a request.
pub fn finish(request: &AnswerRequest, outcome: &Result<GeneratedAnswer, Problem>) -> Finish {
    let done = outcome.as_ref().ok();
    let problem = outcome.as_ref().err();
    let citation = |found: &VerifiedQuote| {
        let cited = request.places.0.get(found.passage)?.verified(found);
        Some(surrounded(cited, request.passages.get(found.passage)?, &found.chars))
    };
    let citations = |written: &GeneratedAnswer| -> Value {
        let fallback = request.fallback.as_ref().filter(|_| written.usage.fallback.is_some());
        match fallback {
            Some(JsonB(fallback)) => fallback["citations"].clone(),
            None => written.citations.iter().filter_map(citation).collect(),
        }
    };
    let json = |value: Option<Value>| value.map(JsonB);
    let args = [
        request.id.into(),
        if done.is_some() { "done" } else { "failed" }.into(),
        done.map(|written| &*written.text).into(),
        json(done.map(citations)).into(),
        done.map(|written| written.status.as_str()).into(),
        json(done.map(|written| json::claims(&written.claims))).into(),
        json(done.map(|written| json::usage(&request.model, &written.usage))).into(),
        problem.map(|problem| &*problem.sqlstate).into(),
        problem.map(|problem| &*problem.message).into(),
        problem.and_then(|problem| problem.detail.as_deref()).into(),
        problem.and_then(|problem| problem.hint.as_deref()).into(),
    ];
    settle(statement!("answer/finish"), &args)
}

row! {
    /// A row of `sql/run/answer/settle.sql`.
    struct Settled {
        /// Nothing is left to be written.
        is_over: bool,
        /// This was written.
        is_written: bool,
    }
}

fn settle(change: &str, args: &[DatumWithOid<'_>]) -> Finish {
    let template = statement!("answer/settle");
    let sql = fill(template, &[("change", change)]);
    match as_extension_owner(|| query(&sql, args, |row| Settled::read(&row))).pop() {
        Some(Settled { is_written: true, .. }) => Finish::Written,
        Some(Settled { is_over: true, .. }) => Finish::Canceled,
        _ => Finish::RowLocked,
    }
}

/// Notifies listening sessions that a request has ended.
pub fn notify(id: Uuid) {
    let args = [id.to_string().into()];
    as_extension_owner(|| {
        query("SELECT pg_catalog.pg_notify('rag_answer', $1)", &args, |_| ());
    });
}

/// Puts a request back into the queue.
pub fn requeue(request: &AnswerRequest, delay: Duration, why: &Problem) -> Finish {
    let (sqlstate, message) = (why.sqlstate.as_str(), why.message.as_str());
    let args = [request.id.into(), delay.as_secs_f64().into(), sqlstate.into(), message.into()];
    settle(statement!("answer/put_off"), &args)
}

/// Deletes a batch of requests that ended longer ago than the setting keeps; returns whether there may be more.
pub fn prune() -> bool {
    let Some(seconds) = guc::answer::request_retention() else { return false };
    let sql = statement!("answer/prune");
    as_extension_owner(|| execute(sql, &[f64::from(seconds).into(), PRUNE_BATCH.into()])) as i32
        == PRUNE_BATCH
}
