//! Drains the queue: one step a turn, generations in turn.
use crate::answer::request as answer_request;
use crate::catalog::collection::{Collection, Generation};
use crate::catalog::generation::switch;
use crate::catalog::target::{Description, warn_about, warn_about_collection};
use crate::ingest::inverted::merge::Merges;
use crate::ingest::pipeline::batch;
use crate::ingest::pipeline::batch::End;
use crate::ingest::pipeline::live_lease::OtherGenerations;
use crate::ingest::queue::changes;
use crate::ingest::queue::changes::{Coalesced, PendingWork, WorkStep};
use crate::ingest::queue::{job_count, pause};
use crate::ingest::{index_ddl, scan};
use crate::maintain::calibrate;
use crate::models::call_log;
use crate::search::query_log;
use crate::search::query_stats;
use crate::sys::background::micros;
use crate::sys::failed::Failed;
use crate::sys::lock_retry;
use crate::sys::process::now;
use crate::sys::rights::{as_extension_owner, with_lock_timeout};
use crate::sys::spi::execute;
use crate::sys::time_limit;
use crate::sys::transaction::Host;
use crate::sys::workers::admission;
use crate::sys::workers::shared_state::WorkerKind;
use crate::sys::workers::shared_state::request_helper;
use crate::sys::workers::wake::wake;
use crate::sys::workers::yield_database::{is_database_requested, terminate_builders};
use crate::worker::work::{TurnEnd, Work};
use rag::queue::backoff;
use rag::queue::failure::Failure;
use rag::queue::unstored::Unstored;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often to delete old entries of the logs.
const PRUNE_EVERY: Duration = Duration::from_mins(1);

/// After a step longer than this, other generations go first for as long.
const LONG: Duration = Duration::from_secs(5);

/// How often in a row a step that failed because of a concurrent transaction is repeated at once.
const CONFLICTS: u32 = 5;

/// Drains the queue.
pub struct Drain {
    host: Host,
    collections: Option<Vec<i32>>,
    last: i32,
    generations: HashMap<i32, GenerationState>,
    /// Why a generation is retried later; `rag_work()` raises it when the rest of the queue is drained.
    outage: Option<Failed>,
    conflicts: u32,
    merges: Merges,
    /// What transactions that failed were to store.
    unstored: Unstored,
    /// When old log entries were last deleted.
    pruned: Option<Instant>,
}

/// What is known of a generation from earlier steps. Times are `timestamptz`s; 0 for none.
#[derive(Default)]
struct GenerationState {
    /// Mean bytes of its documents.
    mean_bytes: Option<usize>,
    /// How often in a row its step failed for a transient reason, and when to retry.
    failures: u32,
    retry_at: i64,
    /// Its last step was long: until when other generations go first.
    delayed_until: i64,
    /// How often a switch to it did not get its locks.
    locked_switches: u32,
    /// Keys of a page of a scan, if [`scan::PAGE`] took too long.
    page_size: Option<usize>,
    /// Its last step failed because an object of a statement was missing or altered: how the catalog described it right
    /// after.
    suspect: Option<Description>,
}

impl GenerationState {
    /// When it is worked on again, if that is later than `now`.
    fn retry_at(&self, now: i64) -> Option<i64> {
        Some(self.retry_at).filter(|at| *at > now)
    }
}

impl Drain {
    /// For `collections`; `None`: all.
    pub fn new(host: Host, collections: Option<Vec<i32>>) -> Self {
        Self {
            host,
            collections,
            last: 0,
            generations: HashMap::new(),
            outage: None,
            conflicts: 0,
            merges: Merges::default(),
            unstored: Unstored::default(),
            pruned: None,
        }
    }

    /// Where transactions run.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Takes the failure of a generation that is to be retried later.
    pub fn take_outage(&mut self) -> Option<Failed> {
        self.outage.take()
    }

    /// Releases the jobs of backends that are gone.
    pub fn release_lost(&self) -> Result<(), Failed> {
        self.host.transaction(|| {
            changes::release_lost();
            Ok(())
        })
    }

    /// Does one step. A failure of a document or a collection is recorded there; an error is a cancellation, or a failure of
    /// the queue itself.
    pub fn turn(&mut self) -> Result<TurnEnd, Failed> {
        match self.one_turn() {
            Err(failed) if failed.is_conflict() && self.conflicts < CONFLICTS => {
                self.conflicts += 1;
                Ok(TurnEnd::Worked)
            }
            other => {
                self.conflicts = 0;
                other
            }
        }
    }

    fn one_turn(&mut self) -> Result<TurnEnd, Failed> {
        self.host.reset_memory();
        let collections = self.collections.as_deref();
        self.host.reached("called");
        call_log::drain(&self.host)?;
        query_stats::store(&self.host)?;
        let turn = |apart: Option<Coalesced>| {
            self.host.transaction(|| {
                let changed = apart.unwrap_or_else(|| changes::coalesce(collections));
                job_count::fold();
                self.host.reached("coalescing");
                Ok((changed, changes::pending_work(collections)))
            })
        };
        let (changed, work) = match turn(None) {
            Err(failed) if failed.is_cancel() => return Err(failed),
            Err(_) => turn(Some(self.coalesce_apart()?))?,
            Ok(done) => done,
        };
        self.host.reached("coalesced");
        if self.host.is_worker() {
            // First, since jobs may never run out.
            for work in work.iter().filter(|work| work.wants_index) {
                index_ddl::build(&self.host, work.generation)?;
            }
        }
        let has_more_merges = self.merge(&work)?;
        if self.host.is_worker()
            && work.iter().filter(|w| w.step == Some(WorkStep::Jobs)).count() > 1
        {
            // One generation for another worker.
            request_helper();
        }
        // Round robin: a collection with millions of jobs does not keep the others waiting. Generations without a worker first.
        let last = self.last;
        let (after, before): (Vec<&PendingWork>, Vec<&PendingWork>) =
            work.iter().partition(|work| work.generation > last);
        let mut is_locked = changed == Coalesced::Locked;
        let started = now();
        let is_delayed = |id| self.generations.get(&id).is_some_and(|s| s.delayed_until > started);
        let mut turns = [after, before].concat();
        turns.sort_by_key(|work| {
            let is_claimed = work.step == Some(WorkStep::Jobs) && work.is_claimed;
            // No document waits for a calibration.
            let is_calibration = work.step == Some(WorkStep::Calibrate);
            (is_calibration, is_delayed(work.generation), is_claimed)
        });
        for next in turns {
            let Some(step) = next.step else { continue };
            if self.retry_at(next.generation).is_some() {
                continue;
            }
            self.last = next.generation;
            if self.step(next.generation, step)? {
                return Ok(TurnEnd::Worked);
            }
            // Do not wait for an index: searches find everything without it. A generation that is being built is not
            // complete without it.
            is_locked |= match step {
                WorkStep::Index => next.is_building,
                WorkStep::Calibrate => false,
                _ => true,
            };
        }
        if changed == Coalesced::Taken || has_more_merges {
            return Ok(TurnEnd::Worked);
        }
        if self.prune()? {
            return Ok(TurnEnd::Worked);
        }
        let ready = |work: &PendingWork| match self.retry_at(work.generation) {
            Some(until) => Some(work.ready_at.map_or(until, |at| until.max(at))),
            None => work.ready_at,
        };
        let call_log_retry_at = call_log::retry_in().filter(|_| self.host.is_worker());
        let call_log_retry_at = call_log_retry_at.map(|wait| now().saturating_add(micros(wait)));
        let ready_at = work.iter().filter_map(ready).chain(call_log_retry_at).min();
        let is_claimed = is_locked || work.iter().any(|work| work.is_claimed);
        Ok(TurnEnd::Idle { ready_at, is_claimed })
    }

    /// Merges segments of generations that had jobs at the last turn; whether there are more to merge.
    fn merge(&mut self, work: &[PendingWork]) -> Result<bool, Failed> {
        let has_more = self.merges.run(&self.host)?;
        for work in work.iter().filter(|work| work.has_jobs()) {
            self.merges.add(work.generation);
        }
        Ok(has_more)
    }

    /// Deletes old entries of the logs, every [`PRUNE_EVERY`]; whether there may be more.
    fn prune(&mut self) -> Result<bool, Failed> {
        if self.pruned.is_some_and(|at| at.elapsed() < PRUNE_EVERY) {
            return Ok(false);
        }
        let has_more = self
            .host
            .transaction(|| Ok(query_log::prune() | call_log::prune() | answer_request::prune()))?;
        if !has_more {
            self.pruned = Some(Instant::now());
        }
        Ok(has_more)
    }

    /// Does the next step of a generation. False if another backend is doing it.
    fn step(&mut self, generation: i32, step: WorkStep) -> Result<bool, Failed> {
        let started = Instant::now();
        let result = self.try_step(generation, step);
        let state = self.generations.entry(generation).or_default();
        if started.elapsed() > LONG {
            state.delayed_until = now() + micros(started.elapsed());
        }
        let Err(failed) = result else {
            (state.failures, state.retry_at, state.suspect) = (0, 0, None);
            return result;
        };
        let is_worker = self.host.is_worker();
        if failed.is_cancel() && !is_worker {
            return Err(failed);
        }
        match failed.class {
            // A renamed or dropped object explains it.
            Failure::Configuration if self.may_have_changed(generation, &failed)? => {}
            // No single document is at fault.
            Failure::Configuration | Failure::Row => match self.pause(generation, &failed) {
                // The row is locked: retry instead of waiting.
                Err(held) if held.is_lock_failure() && is_worker => {
                    self.retry_later(generation, &failed)?;
                }
                paused => paused?,
            },
            class if class.concerns_all() => {
                self.record_error(generation, &failed)?;
                self.retry_later(generation, &failed)?;
                self.outage = Some(failed);
            }
            Failure::Transient if is_worker => {
                if time_limit::is_exceeded(failed.sqlstate()) {
                    self.record_error(generation, &failed)?;
                    let state = self.generations.entry(generation).or_default();
                    state.page_size = Some((state.page_size.unwrap_or(scan::PAGE) / 8).max(1));
                }
                self.retry_later(generation, &failed)?;
            }
            _ => return Err(failed),
        }
        Ok(true)
    }

    fn try_step(&mut self, generation: i32, step: WorkStep) -> Result<bool, Failed> {
        let host = &self.host;
        let others = host.is_worker().then(|| OtherGenerations::new(generation, self.later(now())));
        let state = self.generations.entry(generation).or_default();
        match step {
            WorkStep::Scan => scan::page(host, generation, state.page_size.unwrap_or(scan::PAGE)),
            WorkStep::Jobs => {
                batch::work(host, generation, others, &mut state.mean_bytes, &mut self.unstored)
                    .map(|end| end != End::Nothing)
            }
            WorkStep::Switch => {
                let switched =
                    switch::switch_when_complete(host, generation, state.locked_switches);
                // A document that is written in between is no reason to wait longer for a lock.
                state.locked_switches += u32::from(matches!(switched, Ok(false)));
                switched
            }
            WorkStep::Index => {
                host.reached("indexing");
                index_ddl::build(host, generation)
            }
            WorkStep::Calibrate => calibrate::run(host, generation),
        }
    }

    /// Whether the cause may be DDL between the look at the catalog and the statement made from it. The step is repeated then;
    /// if it fails again without another DDL, something is wrong. Renames of columns that no event trigger saw are followed.
    fn may_have_changed(&mut self, generation: i32, failed: &Failed) -> Result<bool, Failed> {
        if !failed.is_definition_failure() {
            return Ok(false);
        }
        let now = self.host.transaction(|| Ok(Description::read(generation)))?;
        let state = self.generations.entry(generation).or_default();
        let is_known = state.suspect.as_ref() == Some(&now);
        state.suspect = (!is_known).then_some(now);
        Ok(!is_known)
    }

    /// Turns changes into jobs for each collection alone, after that failed for all at once: a collection with locked jobs, or
    /// with an error, does not keep the others waiting.
    fn coalesce_apart(&self) -> Result<Coalesced, Failed> {
        let collections = self.collections.as_deref();
        let changed = self.host.transaction(|| Ok(changes::changed(collections)))?;
        let mut result = Coalesced::Locked;
        for collection in changed {
            match self.host.transaction(|| Ok(changes::coalesce(Some(&[collection])))) {
                Ok(Coalesced::Taken) => result = Coalesced::Taken,
                Ok(_) => {}
                Err(failed) if failed.is_cancel() => return Err(failed),
                Err(failed) if failed.is_lock_failure() => {}
                Err(failed) => warn_about_collection(&self.host, collection, &failed)?,
            }
        }
        Ok(result)
    }

    /// Shows in `rag.status` why a generation makes no progress, until chunks are stored again. Skipped if its row is locked.
    fn record_error(&self, generation: i32, failed: &Failed) -> Result<(), Failed> {
        let noted = self.host.transaction(|| {
            let sql = "UPDATE rag.progress SET error = $2, sqlstate = $3 WHERE generation_id = $1";
            let args = [generation.into(), failed.reason().into(), failed.sqlstate().into()];
            with_lock_timeout(lock_retry::SHORT, || as_extension_owner(|| execute(sql, &args)));
            Ok(())
        });
        noted.or_else(|held| if held.is_lock_failure() { Ok(()) } else { Err(held) })
    }

    /// Schedules a retry, with a warning in the log; other generations go first.
    fn retry_later(&mut self, generation: i32, failed: &Failed) -> Result<(), Failed> {
        if self.host.is_worker() {
            warn_about(&self.host, generation, failed)?;
        }
        let state = self.generations.entry(generation).or_default();
        state.failures += 1;
        state.retry_at = now() + micros(backoff::delay(state.failures, backoff::random()));
        Ok(())
    }

    fn retry_at(&self, generation: i32) -> Option<i64> {
        self.generations.get(&generation)?.retry_at(now())
    }

    /// Generations that are retried later, or delayed.
    fn later(&self, now: i64) -> Vec<i32> {
        let is_later = |s: &GenerationState| s.retry_at(now).is_some() || s.delayed_until > now;
        self.generations.iter().filter(|(_, state)| is_later(state)).map(|(id, _)| *id).collect()
    }

    /// Pauses the collection; only the generation if its tables are at fault, so that another can be built in its place.
    fn pause(&self, generation: i32, failed: &Failed) -> Result<(), Failed> {
        let found = self.host.transaction(|| {
            let Some(generation) = Generation::by_id(generation) else { return Ok(None) };
            let collection = Collection::by_id(generation.collection);
            let is_altered = match &collection {
                Ok(Some(collection)) => generation.require_policies(collection).is_err(),
                _ => false,
            };
            Ok(Some((generation.collection, is_altered)))
        })?;
        match found {
            Some((_, true)) => pause::generation(&self.host, generation, failed),
            Some((collection, false)) => pause::collection(&self.host, collection, failed),
            None => Ok(()),
        }
    }
}

impl Work for Drain {
    fn host(&self) -> &Host {
        Drain::host(self)
    }

    fn begin(&mut self) -> Result<(), Failed> {
        self.release_lost()?;
        // The launcher probes databases with indexing workers only.
        let is_prepared = || admission::locks_of(WorkerKind::Answer).writing.is_held();
        if self.host().transaction(|| Ok(answer_request::is_open() || is_prepared()))? {
            wake(WorkerKind::Answer);
        }
        Ok(())
    }

    fn turn(&mut self, _is_wake_requested: bool) -> Result<TurnEnd, Failed> {
        Drain::turn(self)
    }

    fn holds_results(&mut self) -> bool {
        self.unstored.tidy();
        !self.unstored.is_empty()
    }

    fn shut_down(&mut self) {
        // Otherwise builders go on: they do no harm.
        if is_database_requested() {
            terminate_builders(self.host());
        }
    }
}
