//! The log of searches and answers: written in the caller's transaction, read by the collection's owner.
//!
//! The caller may not write the table. Rights are raised around the INSERT of finished values alone, as
//! they are where a trigger records a change.
#![allow(unsafe_code)] // asks PostgreSQL whether a transaction may write

use crate::search::candidate::{ChunkCandidate, Fate};
use crate::search::engine::{Outcome, Timings, milliseconds};
use crate::search::options::Options;
use crate::sys::datum::json::without_nulls;
use crate::sys::guc;
use crate::sys::names::current_role;
use crate::sys::process;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{execute, query, required};
use pgrx::{JsonB, pg_sys};
use rag::search::diverse::Choice;
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::time::Duration;

/// Most queries deleted at once.
const BATCH: i32 = 1_000;

thread_local! {
    static LAST: Cell<Option<i64>> = const { Cell::new(None) };
}

/// Something to log.
pub struct Entry<'a> {
    pub query: &'a str,
    pub options: &'a Options,
    pub outcome: &'a Outcome,
    pub asked: Asked<'a>,
}

/// What a caller asks for.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// Chunks.
    Chunks,
    /// An answer, which was given.
    Answer(Answered<'a>),
    /// An answer, which a worker will give: see [`answered`].
    AnswerLater,
}

impl<'a> Asked<'a> {
    fn given(self) -> Option<Answered<'a>> {
        match self {
            Self::Answer(answered) => Some(answered),
            Self::Chunks | Self::AnswerLater => None,
        }
    }
}

/// An answer as it is logged.
#[derive(Clone, Copy)]
pub struct Answered<'a> {
    /// What the caller got.
    pub text: &'a str,
    /// Whether it is one.
    pub status: &'a str,
    /// How sure, where that is known.
    pub confidence: Option<f64>,
    /// Time it took to find in what was found.
    pub took: Duration,
}

/// Number of the last query of this session; `None` when that was not logged.
pub fn last() -> Option<i64> {
    LAST.get()
}

/// Logs an entry and returns its number; `None` when this one is not logged, or cannot be: a read-only
/// transaction, a standby and the leader of a parallel query write nothing.
pub fn record(entry: &Entry<'_>) -> Option<i64> {
    let id = is_wanted().then(|| insert(entry)).flatten();
    LAST.set(id);
    id
}

fn is_wanted() -> bool {
    let sample = guc::query_log::sample();
    // SAFETY: draws from this backend's random numbers.
    let draw = || unsafe { pg_sys::pg_prng_double(&raw mut pg_sys::pg_global_prng_state) };
    sample > 0.0 && process::may_write() && draw() < sample
}

fn insert(entry: &Entry<'_>) -> Option<i64> {
    let outcome = entry.outcome;
    let generation = &outcome.generation;
    let role = current_role();
    let candidates = outcome.found.iter().chain(&outcome.others);
    let candidates: Vec<Value> = candidates.map(|found| candidate(outcome, found)).collect();
    let answer = entry.asked.given();
    let arguments = [
        outcome.collection.id.into(),
        generation.id.into(),
        role.into(),
        if matches!(entry.asked, Asked::Chunks) { "search" } else { "answer" }.into(),
        entry.query.into(),
        JsonB(options(entry.options)).into(),
        generation.model.as_str().into(),
        generation.fingerprint.as_str().into(),
        i32::try_from(outcome.found.len()).unwrap_or(i32::MAX).into(),
        JsonB(Value::Array(candidates)).into(),
        answer.map(|answer| answer.text).into(),
        answer.map(|answer| answer.status).into(),
        answer.and_then(|answer| answer.confidence).into(),
        JsonB(times(entry)).into(),
    ];
    let sql = statement!("search/query_log_insert");
    as_extension_owner(|| query(sql, &arguments, |row| required(&row, 1))).into_iter().next()
}

/// Adds the answer that a logged question got later.
pub fn answered(query_id: i64, answered: Answered<'_>) {
    let sql = statement!("search/query_log_answered");
    let took = milliseconds(answered.took);
    let args = [query_id.into(), answered.text.into(), answered.status.into(), took.into()];
    as_extension_owner(|| execute(sql, &args));
}

/// What differs from the defaults.
fn options(options: &Options) -> Value {
    let default = Options::top(options.top_k);
    let mut object = Map::new();
    object.insert("top_k".to_owned(), options.top_k.into());
    let mut differing = |name: &str, value: Value, default: Value| {
        if value != default {
            object.insert(name.to_owned(), value);
        }
    };
    differing("filter", options.filter_text.clone().unwrap_or_default(), Value::Null);
    differing("rerank", options.rerank.into(), default.rerank.into());
    differing("depth", options.depth.into(), default.depth.into());
    differing("candidates", options.candidates.into(), default.candidates.into());
    differing("dense_weight", options.dense_weight.into(), default.dense_weight.into());
    differing("lexical_weight", options.lexical_weight.into(), default.lexical_weight.into());
    differing("rerank_weight", options.rerank_weight.into(), default.rerank_weight.into());
    differing("per_document", options.per_document.into(), Value::Null);
    differing("near_duplicate", options.near_duplicate.into(), Value::Null);
    differing("syntax", options.syntax.name().into(), default.syntax.name().into());
    differing("min_relevance", options.min_relevance.into(), Value::Null);
    differing("expand", options.expand.into(), default.expand.into());
    differing("standalone", options.standalone.clone().into(), Value::Null);
    Value::Object(object)
}

fn candidate(outcome: &Outcome, found: &ChunkCandidate) -> Value {
    let rounded = |value: f64| (value * 1e6).round() / 1e6;
    without_nulls(json!({
        "chunk_id": found.chunk_id,
        "document_key": outcome.collection.document_key(&found.key),
        "ordinal": found.ordinal,
        "kept": found.fate == Fate::Ranked(Choice::Kept),
        "score": rounded(found.score),
        "relevance": rounded(found.relevance),
        "dense": found.ranks.dense_rank,
        "lexical": found.ranks.lexical_rank,
        "similarity": found.similarity.map(rounded),
        "bm25": found.bm25.map(rounded),
        "maxsim": found.max_sim.map(rounded),
    }))
}

fn times(entry: &Entry<'_>) -> Value {
    let answering = entry.asked.given().map(|answer| answer.took);
    let timings = entry.outcome.timings;
    let total = timings.total + answering.unwrap_or_default();
    let times = Timings { total, ..timings };
    let times = times
        .milliseconds()
        .into_iter()
        .chain(answering.map(|took| ("answer", milliseconds(took))));
    Value::Object(times.map(|(step, time)| (step.to_owned(), time.into())).collect())
}

/// Deletes a batch of queries that are older than the setting keeps; says whether there may be more.
pub fn prune() -> bool {
    let Some(seconds) = guc::query_log::retention() else { return false };
    let sql = statement!("search/query_log_prune");
    as_extension_owner(|| execute(sql, &[f64::from(seconds).into(), BATCH.into()])) as i32 == BATCH
}
