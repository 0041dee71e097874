//! The log of remote calls: model, tokens, outcome and cost.
//!
//! A call is paid for even if the statement that made it fails, so sessions do not write the log in their own
//! transaction: with preloading they leave finished records in shared memory, and a
//! worker writes them. That also keeps searches in read-only transactions, and free of transaction ids. Workers and
//! `rag_work` write theirs in a transaction of its own, right after the call. A record whose
//! transaction aborts stays in shared memory; records for which there was no room are counted in the server's log.

mod ring;

use crate::sys::failed::Failed;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::execute;
use crate::sys::transaction::{Host, subtransaction};
use crate::sys::workers::wake::{has_shared_state, wake_indexer};
use crate::sys::{guc, process};
use pgrx::pg_sys;
use rag::queue::Failure;
use rag::remote::{Call, CallPurpose, Spec};
use std::cell::Cell;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Most calls deleted at once.
const PRUNE_BATCH: i32 = 1_000;

/// Delay after a failure to store records.
const RETRY_AFTER: Duration = Duration::from_secs(10);

thread_local! {
    /// When this process last failed to store records.
    static FAILED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A row of `rag.logged_call`.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    at: f64,
    role: pg_sys::Oid,
    collection: Option<i32>,
    model: String,
    purpose: CallPurpose,
    items: i32,
    input_tokens: i64,
    output_tokens: i64,
    is_estimate: bool,
    milliseconds: i64,
    attempts: i32,
    status: Option<u16>,
    succeeded: bool,
    request_id: String,
    cost: Option<f64>,
}

impl Record {
    /// Whether the provider took the request, and charges for it.
    pub fn was_answered(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// The record of a call that `role` made, perhaps for a collection.
    pub fn new(call: &Call, spec: &Spec, role: pg_sys::Oid, collection: Option<i32>) -> Self {
        let tokens = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let number = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
        Self {
            at: call.began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            role,
            collection,
            model: spec.name.clone(),
            purpose: call.purpose,
            items: number(call.items as u64),
            input_tokens: tokens(call.counted.input.unwrap_or(call.tokens as u64)),
            output_tokens: tokens(call.counted.output.unwrap_or(0)),
            is_estimate: call.counted.input.is_none(),
            milliseconds: i64::try_from(call.duration.as_millis()).unwrap_or(i64::MAX),
            attempts: number(u64::from(call.attempts)),
            status: call.status,
            succeeded: call.is_success,
            request_id: call.request_id.clone().unwrap_or_default(),
            cost: call.cost(&spec.price),
        }
    }
}

/// Reserves shared memory while the library is preloaded.
pub fn init() {
    ring::init();
}

/// Records calls of a session. Also runs while an error unwinds; then it raises no other.
pub fn note(records: &[Record]) {
    if records.is_empty() || !guc::call_log::is_on() {
        return;
    }
    if has_shared_state() && guc::worker::workers() > 0 {
        leave(records);
    } else if !std::thread::panicking() && process::may_write() {
        write(records);
    } else {
        ring::lose(records.len());
    }
    if !std::thread::panicking() && !has_shared_state() {
        report_lost();
    }
}

/// Leaves records for a worker in shared memory. Writes no table, so that it can run outside of a transaction.
pub fn leave(records: &[Record]) {
    if records.is_empty() || !guc::call_log::is_on() {
        return;
    }
    ring::lose(ring::put(process::database(), records));
    wake_indexer();
}

/// Writes records in this transaction.
pub fn write(records: &[Record]) {
    if records.is_empty() || !guc::call_log::is_on() {
        return;
    }
    let args = [
        each(records, |r| r.at).into(),
        each(records, |r| i64::from(r.role.to_u32())).into(),
        each(records, |r| r.collection.unwrap_or(0)).into(),
        each(records, |r| r.model.clone()).into(),
        each(records, |r| r.purpose.as_str()).into(),
        each(records, |r| r.items).into(),
        each(records, |r| r.input_tokens).into(),
        each(records, |r| r.output_tokens).into(),
        each(records, |r| r.is_estimate).into(),
        each(records, |r| r.milliseconds).into(),
        each(records, |r| r.attempts).into(),
        each(records, |r| r.status.map_or(0, i32::from)).into(),
        each(records, |r| r.succeeded).into(),
        each(records, |r| r.request_id.clone()).into(),
        each(records, |r| r.cost).into(),
    ];
    let sql = statement!("models/call_log_insert");
    as_extension_owner(|| execute(sql, &args));
}

fn each<T>(records: &[Record], of: impl Fn(&Record) -> T) -> Vec<T> {
    records.iter().map(of).collect()
}

fn report_lost() {
    let lost = ring::take_lost();
    if lost > 0 {
        pgrx::log!("rag_pg: {lost} remote calls were not recorded: no worker wrote them in time");
    }
}

/// Writes this process's records in a transaction of its own. A failure is a WARNING: raised, it would repeat the call.
pub fn store(host: &Host, records: &[Record]) {
    if records.is_empty() || !guc::call_log::is_on() {
        return;
    }
    let stored = if has_shared_state() {
        ring::lose(ring::put(process::database(), records));
        drain(host)
    } else {
        let written = host.transaction(|| {
            write(records);
            Ok(())
        });
        if written.is_err() {
            ring::lose(records.len());
        }
        report_lost();
        written
    };
    if let Err(failed) = stored {
        failed.warn();
    }
}

/// Writes the records that sessions of this database left in shared memory, and retries later on failure. Returns an error
/// only for a cancel or a termination.
pub fn drain(host: &Host) -> Result<(), Failed> {
    report_lost();
    let is_recent = |at: Instant| at.elapsed() < RETRY_AFTER;
    if !ring::has(process::database()) || FAILED.get().is_some_and(is_recent) {
        return Ok(());
    }
    let all = host.transaction(|| {
        write(&ring::take(process::database(), usize::MAX));
        Ok(())
    });
    let stored = match all {
        Err(failed) if failed.class == Failure::Row => drain_one_by_one(host),
        all => all,
    };
    match stored {
        Err(failed) if failed.is_cancel() => Err(failed),
        Err(failed) => {
            failed.warn();
            FAILED.set(Some(Instant::now()));
            Ok(())
        }
        Ok(()) => {
            FAILED.set(None);
            Ok(())
        }
    }
}

/// Time until the next try to store records, after a failure.
pub fn retry_in() -> Option<Duration> {
    let failed = FAILED.get().filter(|_| ring::has(process::database()))?;
    Some(RETRY_AFTER.saturating_sub(failed.elapsed()))
}

/// Stores records one by one; drops a record that the table rejects, so that it does not block the others.
fn drain_one_by_one(host: &Host) -> Result<(), Failed> {
    let one = || {
        host.transaction(|| {
            let records = ring::take(process::database(), 1);
            let written = subtransaction(|| {
                write(&records);
                Ok(())
            });
            match written {
                Err(failed) if failed.class == Failure::Row && !failed.is_cancel() => {
                    failed.warn();
                    ring::lose(records.len());
                }
                Err(failed) => failed.rethrow(),
                Ok(()) => {}
            }
            Ok(!records.is_empty())
        })
    };
    while one()? {}
    Ok(())
}

/// Deletes a batch of calls older than `rag_pg.call_log_retention`. Returns whether there may be more.
pub fn prune() -> bool {
    let Some(seconds) = guc::call_log::retention() else { return false };
    let sql = statement!("models/call_log_prune");
    as_extension_owner(|| execute(sql, &[f64::from(seconds).into(), PRUNE_BATCH.into()])) as i32
        == PRUNE_BATCH
}
