//! What a worker does between two steps of a long batch: it renews the lease, and indexes small documents of other
//! generations, so that a collection with millions of jobs does not keep them waiting.
use crate::ingest::pipeline::batch;
use crate::ingest::pipeline::batch::End;
use crate::ingest::queue::changes;
use crate::ingest::queue::changes::{Coalesced, WorkStep};
use crate::ingest::queue::lease::Lease;
use crate::sys::failed::Failed;
use crate::sys::process;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{query, required};
use crate::sys::transaction::Host;
use crate::sys::workers::shared_state::{WorkerKind, request_helper, shared_state};
use crate::sys::workers::yield_database::{is_database_requested, yield_database};
use std::time::{Duration, Instant};

/// How often to look for jobs of other generations at most; without shared memory, how often to look for them anyway.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long documents of other generations may take in a row.
const LONGEST: Duration = Duration::from_secs(1);

/// A lease that is kept alive while its jobs are worked on.
pub struct LiveLease<'a> {
    /// Where transactions run.
    pub host: &'a Host,
    /// The lease.
    pub lease: Lease,
    /// `None` if this batch does not look after other generations.
    pub others: Option<OtherGenerations>,
}

impl LiveLease<'_> {
    /// Renews the lease if that is due and indexes small documents of other generations. An error if no job is held any
    /// more. Releases the jobs and ends the worker if a session waits for its database.
    pub fn keep_alive(&mut self) -> Result<(), Failed> {
        let host = self.host;
        if host.is_worker() && is_database_requested() {
            self.lease.release_all(host)?;
            yield_database(host);
        }
        let others = self.others.as_mut();
        if others.map_or(Ok(false), |others| others.interleave(host))? || self.lease.is_check_due()
        {
            self.lease.check(host)?;
        }
        self.lease.renew_if_due(host)
    }

    /// The same during a call that may be paid for. The call goes on while the lease can only not be renewed: an error is a
    /// cancel, or that no job is held any more.
    pub fn keep_alive_meanwhile(&mut self) -> Result<(), Failed> {
        match self.keep_alive() {
            Err(failed) if failed.is_cancel() || self.lease.is_empty() => Err(failed),
            _ => Ok(()),
        }
    }

    /// Whether another generation has ready jobs and no worker.
    pub fn should_yield(&self) -> Result<bool, Failed> {
        self.others.as_ref().map_or(Ok(false), |others| others.are_waiting(self.host))
    }
}

/// The other generations, as a batch of one sees them.
pub struct OtherGenerations {
    generation: i32,
    /// Those that wait for a retry, or whose last step was long.
    later: Vec<i32>,
    /// Those that failed, or have no job that is done in a moment: left for the next turn.
    left: Vec<i32>,
    looked: Instant,
}

impl OtherGenerations {
    /// For a batch of `generation`.
    pub fn new(generation: i32, later: Vec<i32>) -> Self {
        Self { generation, later, left: Vec::new(), looked: Instant::now() }
    }

    /// Indexes small documents of generations without a worker, if changes were committed since. True if changes became
    /// jobs: the batch's own jobs may be among them. Only a cancellation is an error; other failures recur in the next turn.
    fn interleave(&mut self, host: &Host) -> Result<bool, Failed> {
        if self.looked.elapsed() < LOOK_EVERY || !take_wake_request() {
            return Ok(false);
        }
        let began = Instant::now();
        let found = host.transaction(|| Ok((changes::coalesce(None), changes::pending_work(None))));
        let (coalesced, work) = match found {
            Ok(found) => found,
            Err(failed) if failed.is_cancel() => return Err(failed),
            // Such as a lock timeout, which no document is charged with.
            Err(_) => (Coalesced::Locked, Vec::new()),
        };
        let mut is_left = false;
        for next in work {
            let is_waiting = next.step == Some(WorkStep::Jobs) && !next.is_claimed;
            let is_other = next.generation != self.generation;
            if !is_waiting || !is_other || self.later.contains(&next.generation) {
                continue;
            }
            if began.elapsed() > LONGEST || self.left.contains(&next.generation) {
                is_left = true;
                continue;
            }
            let started = Instant::now();
            match batch::work_interleaved(host, next.generation) {
                Ok(End::Done) if started.elapsed() < LONGEST => {}
                Err(failed) if failed.is_cancel() => return Err(failed),
                Ok(_) | Err(_) => {
                    self.left.push(next.generation);
                    is_left = true;
                }
            }
        }
        if is_left {
            request_helper();
        }
        self.looked = Instant::now();
        Ok(coalesced == Coalesced::Taken)
    }

    fn are_waiting(&self, host: &Host) -> Result<bool, Failed> {
        host.transaction(|| {
            let sql = statement!("ingest/is_other_waiting");
            let args = [self.generation.into(), self.later.clone().into()];
            Ok(as_extension_owner(|| query(sql, &args, |row| required::<bool>(&row, 1))) == [true])
        })
    }
}

/// Whether changes were committed since a worker of this database last looked; always without shared memory.
fn take_wake_request() -> bool {
    let Some(state) = shared_state() else { return true };
    let database = process::database();
    state.entry(database).is_none_or(|entry| entry.slots(WorkerKind::Index).take_wake_request())
}
