//! Answers that workers get: the table of what was asked and what came of it.
//!
//! What a question is answered from is looked for when it is submitted, by whoever asks and with all that makes up
//! their rights then. Workers only ask the model, which takes seconds and needs no rights.
use crate::sys::guc;
use crate::sys::rights::{as_extension_owner, current_user};
use crate::sys::spi::{column, execute, fill, query, read, required};
use pgrx::JsonB;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone, Uuid};
use pgrx::pg_sys::{self, Oid};
use pgrx::spi::SpiHeapTupleData;
use rag::answer::generate::{GeneratedAnswer, VerifiedQuote};
use rag::answer::json::{self, CitedPassage};
use rag::{Error, Result};
use serde_json::Value;
use std::time::Duration;

/// Most requests deleted at once.
const BATCH: i32 = 1_000;

/// A question and what there is to answer it from.
pub struct Submission<'a> {
    /// Name of a generator.
    pub model: &'a str,
    /// What is asked.
    pub question: &'a str,
    /// Wishes about style and content.
    pub instructions: Option<&'a str>,
    /// The best first.
    pub passages: Vec<&'a str>,
    /// Where each stands.
    pub places: Vec<CitedPassage>,
    /// Where they were found.
    pub collection: Option<i32>,
    /// The number of the question in the query log.
    pub query_id: Option<i64>,
    /// Why not all documents could be found, if so.
    pub loading: Option<String>,
}

/// A request that this process has claimed.
pub struct Request {
    /// What it is known by.
    pub id: Uuid,
    /// Who asked.
    pub role: Oid,
    /// Where passages were found.
    pub collection: Option<i32>,
    /// The number of the question in the query log.
    pub query_id: Option<i64>,
    /// Name of a generator.
    pub model: String,
    /// What is asked.
    pub question: String,
    /// Wishes about style and content.
    pub instructions: Option<String>,
    /// The best first.
    pub passages: Vec<String>,
    /// Where each stands.
    pub places: Vec<CitedPassage>,
    /// How often the provider put it off.
    pub attempts: u32,
    /// How long ago it was submitted.
    pub age: Duration,
    /// Why not all documents could be found then, if so.
    pub loading: Option<String>,
}

/// What went wrong, as an error tells it.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Five characters.
    pub sqlstate: String,
    /// What happened.
    pub message: String,
    /// What else is known.
    pub detail: Option<String>,
    /// What to do about it.
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

/// A request as who asked sees it.
pub struct Seen {
    /// `queued`, `running`, `done`, `failed` or `canceled`.
    pub state: String,
    /// The answer.
    pub answer: Option<String>,
    /// Its citations.
    pub citations: Option<JsonB>,
    /// Whether it is one.
    pub status: Option<String>,
    /// The number of the question in the query log.
    pub query_id: Option<i64>,
    /// What the model said.
    pub claims: Option<JsonB>,
    /// What it took.
    pub usage: Option<JsonB>,
    /// Why there is none.
    pub problem: Option<Problem>,
}

/// Puts a question into the queue of the caller's role.
pub fn submit(submission: Submission<'_>) -> Result<Uuid> {
    let most = guc::answer::max_queued();
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
        most.into(),
        submission.loading.into(),
    ];
    let sql = statement!("answer/insert");
    let mut ids = as_extension_owner(|| query(sql, &args, |row| required(&row, 1)));
    ids.pop().ok_or_else(|| {
        Error::limit_exceeded(format!("{most} answers of this role are waiting already"))
            .with_detail("The setting rag_pg.max_queued_answers says how many may.")
            .with_hint("Wait until some are done, or cancel some: rag.answer_request lists them.")
    })
}

/// What became of a request.
pub fn fetch(id: Uuid) -> Result<Seen> {
    let sql = statement!("answer/fetch");
    let args = [id.into(), current_user().into()];
    let mut seen = as_extension_owner(|| read(sql, &args, |row| self::seen(&row)));
    seen.pop().ok_or_else(|| unknown(id))
}

fn seen(row: &SpiHeapTupleData<'_>) -> Seen {
    let problem = column(row, 8).map(|sqlstate| Problem {
        sqlstate,
        message: column(row, 9).unwrap_or_default(),
        detail: column(row, 10),
        hint: column(row, 11),
    });
    Seen {
        state: required(row, 1),
        answer: column(row, 2),
        citations: column(row, 3),
        status: column(row, 4),
        query_id: column(row, 5),
        claims: column(row, 6),
        usage: column(row, 7),
        problem,
    }
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

/// When the next request can be worked on, as a `timestamptz`, if any is waiting.
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

/// Claims up to `most` requests that `role` may work on, those of roles that it has the rights of. `held` are requests
/// of this process that take nobody's place, since their models are done.
pub fn claim(most: usize, role: Oid, held: Vec<Uuid>) -> Vec<Request> {
    let sql = statement!("answer/claim");
    let args = [i64::try_from(most).unwrap_or(i64::MAX).into(), role.into(), held.into()];
    as_extension_owner(|| query(sql, &args, |row| request(&row)))
}

fn request(row: &SpiHeapTupleData<'_>) -> Request {
    let JsonB(places) = required(row, 9);
    let places = places.as_array().into_iter().flatten().filter_map(CitedPassage::read);
    Request {
        id: required(row, 1),
        role: required(row, 2),
        collection: column(row, 3),
        query_id: column(row, 4),
        model: required(row, 5),
        question: required(row, 6),
        instructions: column(row, 7),
        passages: required(row, 8),
        places: places.collect(),
        attempts: required::<i32>(row, 10).unsigned_abs(),
        age: Duration::from_secs_f64(required::<f64>(row, 11).max(0.0)),
        loading: column(row, 12),
    }
}

/// Gives up the requests of processes that are gone; which they were.
pub fn release_lost() -> Vec<Uuid> {
    let sql = statement!("answer/release_lost");
    as_extension_owner(|| query(sql, &[], |row| required(&row, 1)))
}

/// Gives up the requests that were copied along with the database; which they were.
pub fn release_copied() -> Vec<Uuid> {
    let sql = statement!("answer/release_copied");
    as_extension_owner(|| query(sql, &[], |row| required(&row, 1)))
}

/// Those of `ids`, which this process has claimed, that nobody wants any more.
pub fn unwanted(ids: Vec<Uuid>) -> Vec<Uuid> {
    let sql = statement!("answer/unwanted");
    as_extension_owner(|| read(sql, &[ids.into()], |row| required(&row, 1)))
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// That is written.
    Written,
    /// It was canceled before.
    Unwanted,
    /// Somebody is about to cancel it, or not: it cannot be written now.
    Held,
}

/// Writes what came of a request.
pub fn finish(request: &Request, outcome: &Result<GeneratedAnswer, Problem>) -> Finish {
    let done = outcome.as_ref().ok();
    let problem = outcome.as_ref().err();
    let citation = |found: &VerifiedQuote| Some(request.places.get(found.passage)?.verified(found));
    let citations = |written: &GeneratedAnswer| -> Value {
        written.citations.iter().filter_map(citation).collect()
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

fn settle(change: &str, args: &[DatumWithOid<'_>]) -> Finish {
    let template = statement!("answer/settle");
    let sql = fill(template, &[("change", change)]);
    let row = |row: SpiHeapTupleData<'_>| (required(&row, 1), required(&row, 2));
    match as_extension_owner(|| query(&sql, args, row)).pop() {
        Some((_, true)) => Finish::Written,
        Some((true, false)) => Finish::Unwanted,
        _ => Finish::Held,
    }
}

/// Tells who listens that a request has ended.
pub fn notify(id: Uuid) {
    let args = [id.to_string().into()];
    as_extension_owner(|| {
        query("SELECT pg_catalog.pg_notify('rag_answer', $1)", &args, |_| ());
    });
}

/// Puts a request back into the queue.
pub fn put_off(request: &Request, delay: Duration, why: &Problem) -> Finish {
    let (sqlstate, message) = (why.sqlstate.as_str(), why.message.as_str());
    let args = [request.id.into(), delay.as_secs_f64().into(), sqlstate.into(), message.into()];
    settle(statement!("answer/put_off"), &args)
}

/// Deletes a batch of requests that ended longer ago than the setting keeps; says whether there may be more.
pub fn prune() -> bool {
    let Some(seconds) = guc::answer::request_retention() else { return false };
    let sql = statement!("answer/prune");
    as_extension_owner(|| execute(sql, &[f64::from(seconds).into(), BATCH.into()])) as i32 == BATCH
}
