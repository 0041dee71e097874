//! The queue's loop: one step a turn, generations in turn.
use crate::answer::request as answer_request;
use crate::catalog::collection::{Collection, Generation};
use crate::catalog::generation::switch;
use crate::catalog::target::{Description, warn_about, warn_about_collection};
use crate::ingest::pipeline::batch;
use crate::ingest::pipeline::batch::End;
use crate::ingest::pipeline::others::Others;
use crate::ingest::queue::changes;
use crate::ingest::queue::changes::{Changes, PendingWork, Step};
use crate::ingest::queue::job_count;
use crate::ingest::text_index::Waiting;
use crate::ingest::{index_build as vector_index, scan};
use crate::models::call_log;
use crate::search::query_log;
use crate::search::query_stats;
use crate::sys::background;
use crate::sys::failed::Failed;
use crate::sys::rights::{as_extension_owner, with_lock_timeout};
use crate::sys::spi::execute;
use crate::sys::time_limit;
use crate::sys::transaction::Host;
use crate::sys::workers::board::ask_for_help;
use crate::sys::workers::duty::Duty;
use crate::sys::workers::leave::stop_builders;
use crate::sys::workers::turnstile;
use crate::sys::workers::turnstile::is_database_wanted;
use crate::sys::workers::wake::call;
use crate::worker::work::{Turn, Work};
use rag::queue::backoff;
use rag::queue::failure::Failure;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often to look for old entries of the logs.
const PRUNE_EVERY: Duration = Duration::from_mins(1);

/// A step that took longer than this gives the others as much time.
const LONG: Duration = Duration::from_secs(5);

/// How often in a row a step that clashed with another backend's is repeated at once.
const CLASHES: u32 = 5;

/// Works off the queue.
pub struct Drain {
    host: Host,
    collections: Option<Vec<i32>>,
    last: i32,
    /// Bytes of a generation's documents, on average.
    mean_bytes: HashMap<i32, Option<usize>>,
    /// Generations whose last step failed for a reason that passes: how often, and until when others
    /// go first.
    resting: HashMap<i32, (u32, i64)>,
    /// Generations whose last step took long, and until when the others have had as much time: they go first.
    behind: HashMap<i32, i64>,
    /// Keys that are compared at once, where as many as usual took too long.
    pages: HashMap<i32, usize>,
    /// Generations whose last step failed as it does where something is missing, and how the catalog described them right
    /// after.
    suspects: HashMap<i32, Option<Description>>,
    /// Why a remote model's generation was left for later; raised when a session has done the rest.
    outage: Option<Failed>,
    clashes: u32,
    /// Generations that got chunks since their full-text index was last in order.
    unmerged: Waiting,
    /// When the logs were last looked at.
    pruned: Option<Instant>,
}

impl Drain {
    /// Works for `collections`; `None` stands for all.
    pub fn new(host: Host, collections: Option<Vec<i32>>) -> Self {
        let (mean_bytes, resting) = (HashMap::new(), HashMap::new());
        let unmerged = Waiting::default();
        Self {
            host,
            collections,
            last: 0,
            mean_bytes,
            resting,
            behind: HashMap::new(),
            pages: HashMap::new(),
            suspects: HashMap::new(),
            outage: None,
            clashes: 0,
            unmerged,
            pruned: None,
        }
    }

    /// Where the work runs.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What kept a generation from being brought up to date, though nothing is wrong with it.
    pub fn take_outage(&mut self) -> Option<Failed> {
        self.outage.take()
    }

    /// Frees the claims of backends that are gone.
    pub fn release_lost(&self) -> Result<(), Failed> {
        self.host.transaction(|| {
            changes::release_lost();
            Ok(())
        })
    }

    /// Does one step. A failure that concerns a document or a collection is recorded there; what comes
    /// back is a wish to stop, or a failure of the queue itself.
    pub fn turn(&mut self) -> Result<Turn, Failed> {
        match self.one_turn() {
            Err(failed) if failed.is_clash() && self.clashes < CLASHES => {
                self.clashes += 1;
                Ok(Turn::Worked)
            }
            other => {
                self.clashes = 0;
                other
            }
        }
    }

    fn one_turn(&mut self) -> Result<Turn, Failed> {
        self.host.reset_memory();
        let collections = self.collections.as_deref();
        self.host.reached("called");
        call_log::drain(&self.host)?;
        query_stats::store(&self.host)?;
        let turn = |apart: Option<Changes>| {
            self.host.transaction(|| {
                let changed = apart.unwrap_or_else(|| changes::coalesce(collections));
                job_count::fold();
                self.host.reached("coalescing");
                Ok((changed, changes::list(collections)))
            })
        };
        let (changed, work) = match turn(None) {
            Err(failed) if failed.is_cancel() => return Err(failed),
            Err(_) => turn(Some(self.coalesce_apart()?))?,
            Ok(done) => done,
        };
        self.host.reached("coalesced");
        if self.host.is_worker() {
            // Before anything else, since there may always be jobs.
            for work in work.iter().filter(|work| work.wants_index) {
                vector_index::build(&self.host, work.generation)?;
            }
        }
        let has_jobs = |id| work.iter().any(|work| work.generation == id && work.has_jobs());
        self.unmerged.merge_one(&self.host, has_jobs)?;
        if self.host.is_worker() && work.iter().filter(|w| w.step == Some(Step::Jobs)).count() > 1 {
            // One of them for another worker.
            ask_for_help();
        }
        // In a circle: a collection with millions of jobs does not keep the others waiting. What nobody is at goes first.
        let last = self.last;
        let (behind, before): (Vec<&PendingWork>, Vec<&PendingWork>) =
            work.iter().partition(|work| work.generation > last);
        let mut is_locked = changed == Changes::HeldUp;
        let now = background::now();
        let is_behind = |id| self.behind.get(&id).is_some_and(|until| *until > now);
        let mut circle = [behind, before].concat();
        circle.sort_by_key(|work| {
            let is_claimed = work.step == Some(Step::Jobs) && work.is_claimed;
            (is_behind(work.generation), is_claimed)
        });
        for next in circle {
            let Some(step) = next.step else { continue };
            if self.rests_until(next.generation).is_some() {
                continue;
            }
            self.last = next.generation;
            if self.step(next.generation, step)? {
                return Ok(Turn::Worked);
            }
            // An index is nothing to wait for, since searches find everything without it; but what is
            // being built is not complete before.
            is_locked |= step != Step::Index || next.is_building;
        }
        if changed == Changes::Taken {
            return Ok(Turn::Worked);
        }
        if self.prune()? {
            return Ok(Turn::Worked);
        }
        let ready = |work: &PendingWork| match self.rests_until(work.generation) {
            Some(until) => Some(work.ready_at.map_or(until, |at| until.max(at))),
            None => work.ready_at,
        };
        let ledger = call_log::again_in().filter(|_| self.host.is_worker());
        let micros = |wait: Duration| i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        let ledger = ledger.map(|wait| background::now().saturating_add(micros(wait)));
        let ready_at = work.iter().filter_map(ready).chain(ledger).min();
        let is_claimed = is_locked || work.iter().any(|work| work.is_claimed);
        Ok(Turn::Idle { ready_at, is_claimed })
    }

    /// Deletes old entries of the logs, now and then; whether there may be more.
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

    /// Does what is next for a generation; false when another backend is just at it.
    fn step(&mut self, generation: i32, step: Step) -> Result<bool, Failed> {
        let started = Instant::now();
        let result = self.try_step(generation, step);
        if started.elapsed() > LONG {
            let until =
                background::now() + i64::try_from(started.elapsed().as_micros()).unwrap_or(0);
            self.behind.insert(generation, until);
        }
        let Err(failed) = result else {
            self.resting.remove(&generation);
            self.suspects.remove(&generation);
            return result;
        };
        let is_worker = self.host.is_worker();
        if failed.is_cancel() && !is_worker {
            return Err(failed);
        }
        match failed.class {
            // What a renamed or dropped object explains is not a reason to stop.
            Failure::Configuration if self.may_have_changed(generation, &failed)? => {}
            // No single document is at fault, so there is none to give up.
            Failure::Configuration | Failure::Row => match self.pause(generation, &failed) {
                // Somebody holds what is to be changed: it rests instead, and no other waits.
                Err(held) if held.is_lock() && is_worker => self.rest(generation, &failed)?,
                paused => paused?,
            },
            class if class.concerns_all() => {
                self.note_outage(generation, &failed)?;
                self.rest(generation, &failed)?;
                self.outage = Some(failed);
            }
            Failure::Transient if is_worker => {
                if time_limit::is_exceeded(failed.sqlstate()) {
                    self.note_outage(generation, &failed)?;
                    let size = self.pages.entry(generation).or_insert(scan::PAGE);
                    *size = (*size / 8).max(1);
                }
                self.rest(generation, &failed)?;
            }
            _ => return Err(failed),
        }
        Ok(true)
    }

    fn try_step(&mut self, generation: i32, step: Step) -> Result<bool, Failed> {
        let host = &self.host;
        match step {
            Step::Scan => {
                let size = self.pages.get(&generation).copied().unwrap_or(scan::PAGE);
                scan::page(host, generation, size)
            }
            Step::Jobs => {
                let others = host.is_worker().then(|| Others::new(generation, self.later()));
                let mean_bytes = self.mean_bytes.entry(generation).or_default();
                self.unmerged.add(generation);
                batch::work(host, generation, others, mean_bytes).map(|end| end != End::Nothing)
            }
            Step::Switch => switch::by_itself(host, generation),
            Step::Index => {
                host.reached("indexing");
                vector_index::build(host, generation)
            }
        }
    }

    /// Whether the failure may come of a definition that changed between a look at the catalog and the statement made from
    /// it. Then the step is repeated: it fails again, with nothing changed meanwhile, where something is wrong. Names of
    /// columns that changed unnoticed are taken over.
    fn may_have_changed(&mut self, generation: i32, failed: &Failed) -> Result<bool, Failed> {
        if !failed.is_of_definition() {
            return Ok(false);
        }
        let now = self.host.transaction(|| Ok(Description::read(generation)))?;
        let is_known = self.suspects.get(&generation) == Some(&now);
        if is_known {
            self.suspects.remove(&generation);
        } else {
            self.suspects.insert(generation, now);
        }
        Ok(!is_known)
    }

    /// Turns changes into jobs where that failed for all collections at once: for each alone, so that one whose jobs somebody
    /// holds, or that has something wrong with it, keeps no other waiting.
    fn coalesce_apart(&self) -> Result<Changes, Failed> {
        let collections = self.collections.as_deref();
        let changed = self.host.transaction(|| Ok(changes::changed(collections)))?;
        let mut result = Changes::HeldUp;
        for collection in changed {
            match self.host.transaction(|| Ok(changes::coalesce(Some(&[collection])))) {
                Ok(Changes::Taken) => result = Changes::Taken,
                Ok(_) => {}
                Err(failed) if failed.is_cancel() => return Err(failed),
                Err(failed) if failed.is_lock() => {}
                Err(failed) => {
                    warn_about_collection(&self.host, collection, &failed)?;
                }
            }
        }
        Ok(result)
    }

    /// Lets everyone see why a generation makes no progress; what is stored next takes it back. Where somebody holds its row
    /// that is left out: nobody waits for it.
    fn note_outage(&self, generation: i32, failed: &Failed) -> Result<(), Failed> {
        let noted = self.host.transaction(|| {
            let sql = "UPDATE rag.progress SET error = $2, sqlstate = $3 WHERE generation_id = $1";
            let args = [generation.into(), failed.reason().into(), failed.sqlstate().into()];
            with_lock_timeout(c"100ms", || as_extension_owner(|| execute(sql, &args)));
            Ok(())
        });
        noted.or_else(|held| if held.is_lock() { Ok(()) } else { Err(held) })
    }

    /// Lets other generations go first for a while.
    fn rest(&mut self, generation: i32, failed: &Failed) -> Result<(), Failed> {
        if self.host.is_worker() {
            warn_about(&self.host, generation, failed)?;
        }
        let (failures, until) = self.resting.entry(generation).or_default();
        *failures += 1;
        let delay = backoff::delay(*failures, crate::ingest::queue::lease::random());
        *until = background::now() + i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        Ok(())
    }

    fn rests_until(&self, generation: i32) -> Option<i64> {
        let (_, until) = self.resting.get(&generation)?;
        Some(*until).filter(|until| *until > background::now())
    }

    /// Generations that others go before now.
    fn later(&self) -> Vec<i32> {
        let now = background::now();
        let resting = self.resting.iter().map(|(generation, (_, until))| (generation, until));
        let all = resting.chain(&self.behind).filter(|(_, until)| **until > now);
        all.map(|(generation, _)| *generation).collect()
    }

    /// Stops work on the collection; on one generation alone where only its tables are at fault, so that another can be built
    /// in its place.
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
            Some((_, true)) => batch::pause_generation(&self.host, generation, failed),
            Some((collection, false)) => batch::pause(&self.host, collection, failed),
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
        // The launcher looks into databases through this worker alone.
        let is_prepared = || turnstile::of(Duty::Answer).writing.is_held();
        if self.host().transaction(|| Ok(answer_request::is_open() || is_prepared()))? {
            call(Duty::Answer);
        }
        Ok(())
    }

    fn turn(&mut self, _is_called: bool) -> Result<Turn, Failed> {
        Drain::turn(self)
    }

    fn put_down(&mut self) {
        // Only for who wants the database: builders that go on do no harm otherwise.
        if is_database_wanted() {
            stop_builders(self.host());
        }
    }
}
