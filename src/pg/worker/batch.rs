//! One claim of jobs: read, chunk and embed without a snapshot, apply, and account for failures.
use super::apply::{Change, Outcome, State, apply};
use super::board::ask_for_help;
use super::collection::Target;
use super::embed::Embeddings;
use super::failed::Failed;
use super::host::Host;
use super::lease::Lease;
use super::read::{self, Found, Read};
use crate::chunk::Options;
use crate::model::Purpose;
use crate::pg::collection::Generation;
use crate::pg::embedder::Embedder;
use crate::pg::generation::model::{local, remote};
use crate::pg::interrupt::checkpoint;
use crate::pg::remote::Remote;
use crate::queue::batch::{halves, runs};
use crate::queue::diff::{ChunkHash, diff};
use crate::queue::failure::Failure;
use crate::queue::plan::{self, Document};
use crate::queue::rate::Rate;
use crate::{Error, Result};
use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

/// Most jobs of a claim.
const JOBS: i32 = 256;
/// The same for a generation that nobody searches yet: an edit of what is searched waits no longer than
/// these take.
const BUILDING_JOBS: i32 = 32;
/// Bytes of text read, embedded and applied at once: some seconds of work, which is what a crash loses.
const BYTES: usize = 256 * 1024;
/// The same for a remote model: enough for several full requests at once.
const REMOTE_BYTES: usize = 1024 * 1024;
/// How long the requests of a slow one may last together, and how many documents show how slow it is.
const REMOTE_TIME: u64 = 10;
const REMOTE_JOBS: usize = 32;
/// Bytes of a token, about.
const TOKEN: usize = 3;
/// Most characters of a document that a dead job shows.
const EXCERPT: usize = 200;

/// How a claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There was nothing to claim.
    Nothing,
    /// The jobs are done, or put back with their failure.
    Done,
    /// The collection paused.
    Paused,
}

/// A claim being worked off.
pub(super) struct Batch<'a> {
    pub(super) host: &'a Host,
    pub(super) target: Target,
    pub(super) model: Embedder,
    pub(super) lease: Lease,
    /// Of the last call of a local model.
    pub(super) tokens_per_second: Option<f64>,
    rate: &'a mut Rate,
}

/// Claims jobs of `generation` and works them off. An error is a wish to stop; everything else was
/// recorded.
pub fn work(host: &Host, generation: i32, rate: &mut Rate) -> std::result::Result<End, Failed> {
    let claimed = host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(None) };
        let remote = remote(&target.collection, &target.generation);
        let most = most_jobs(&target, matches!(remote, Ok(Some(_))));
        Ok(Some((target, remote, most, Lease::claim(generation, most))))
    })?;
    let claimed = claimed.filter(|(_, _, _, lease)| !lease.is_empty());
    let Some((target, remote, most, lease)) = claimed else {
        return Ok(End::Nothing);
    };
    let collection = target.collection.id;
    let names = target.names();
    if host.is_worker() && lease.len() == most as usize {
        // Others can begin with the rest at once.
        ask_for_help();
    }
    let opened = host.outside(|| open(&target, remote?));
    let mut is_models_fault = opened.is_err();
    let end = match opened {
        Ok(model) => {
            // What can stand still with a remote model is the model.
            let is_remote = !model.is_local();
            let end = Batch { host, target, model, lease, tokens_per_second: None, rate }.run();
            is_models_fault = is_remote && end.as_ref().is_err_and(|(f, _)| f.is_of_provider);
            end
        }
        Err(failed) => Err((failed, lease)),
    };
    let (failed, lease) = match end {
        Ok(()) => return Ok(End::Done),
        Err(failed) => failed,
    };
    lease.release(host)?;
    if failed.is_cancel() || failed.class != Failure::Configuration {
        return Err(failed);
    }
    // What was renamed or dropped while a statement was on its way is not a reason to stop.
    let now = host.transaction(|| Target::load(generation))?;
    if now.is_none_or(|now| now.names() != names) {
        return Ok(End::Done);
    }
    if is_models_fault {
        pause_generation(host, generation, &failed)?;
    } else {
        pause(host, collection, &failed)?;
    }
    Ok(End::Paused)
}

/// Stops work on one generation, whose model cannot be used: one that is made with another goes on.
fn pause_generation(
    host: &Host,
    generation: i32,
    failed: &Failed,
) -> std::result::Result<(), Failed> {
    pgrx::log!("rag_pg: generation {generation} is paused: {}", failed.reason());
    host.transaction(|| {
        super::lease::pause_generation(generation, failed.reason());
        Ok(())
    })
}

/// Stops work on a collection until someone acts.
pub fn pause(host: &Host, collection: i32, failed: &Failed) -> std::result::Result<(), Failed> {
    pgrx::log!("rag_pg: collection {collection} is paused: {}", failed.reason());
    host.transaction(|| {
        super::lease::pause(collection, failed.reason());
        Ok(())
    })
}

fn most_jobs(target: &Target, is_remote: bool) -> i32 {
    if target.generation.state.is_building() && !is_remote { BUILDING_JOBS } else { JOBS }
}

fn open(target: &Target, remote: Option<Remote>) -> Result<Embedder> {
    let generation = &target.generation;
    let model = match remote {
        Some(mut remote) => {
            remote.set_role(target.collection.owner);
            Embedder::Remote(Box::new(remote))
        }
        None => Embedder::Local(local(generation)?),
    };
    let dimensions = model.dimensions();
    if dimensions == generation.dimensions {
        return Ok(model);
    }
    Err(Error::configuration(format!(
        "model \"{}\" has {dimensions} dimensions where the collection has {}",
        generation.model, generation.dimensions
    )))
}

impl Batch<'_> {
    fn run(mut self) -> std::result::Result<(), (Failed, Lease)> {
        match self.all() {
            Ok(()) => self.lease.release(self.host).map_err(|failed| (failed, self.lease)),
            Err(failed) => Err((failed, self.lease)),
        }
    }

    fn all(&mut self) -> std::result::Result<(), Failed> {
        self.reached("claimed");
        let _busy = self.model.busy();
        let keys = self.lease.keys(0..self.lease.len());
        let sizes = self.host.transaction(|| Ok(read::sizes(&self.target, &keys)));
        let runs = match sizes {
            Ok(sizes) => self.runs(sizes),
            // Whichever it is: one after the other.
            Err(failed) if failed.class == Failure::Row => {
                (0..keys.len()).map(|position| position..position + 1).collect()
            }
            Err(failed) => return self.failed(0..keys.len(), failed),
        };
        for run in runs {
            if self.is_paused()? {
                break; // What is left goes back.
            }
            self.lease.charge(self.host, &run)?;
            self.bisect(run)?;
        }
        Ok(())
    }

    /// Which of the documents, of these sizes, are worked on together.
    fn runs(&self, mut sizes: Vec<usize>) -> Vec<Range<usize>> {
        let Embedder::Remote(model) = &self.model else { return runs(&sizes, BYTES) };
        let Some(speed) = model.speed() else {
            let least = REMOTE_BYTES / REMOTE_JOBS;
            for size in &mut sizes {
                *size = least.max(*size);
            }
            return runs(&sizes, REMOTE_BYTES);
        };
        runs(&sizes, REMOTE_BYTES.min((speed * REMOTE_TIME) as usize * TOKEN))
    }

    fn is_paused(&self) -> std::result::Result<bool, Failed> {
        let generation = self.target.generation.id;
        let now = self.host.transaction(|| Ok(Generation::by_id(generation)))?;
        Ok(now.is_none_or(|generation| generation.is_paused))
    }

    /// Indexes a run of claimed documents; when that fails because of one of them, finds it.
    fn bisect(&mut self, run: Range<usize>) -> std::result::Result<(), Failed> {
        let Err(failed) = self.index(run.clone()) else { return Ok(()) };
        self.failed(run, failed)
    }

    fn failed(&mut self, run: Range<usize>, failed: Failed) -> std::result::Result<(), Failed> {
        if failed.is_cancel() && !self.host.is_worker() {
            return Err(failed);
        }
        self.reached("failing");
        match (failed.class, halves(run.clone())) {
            (Failure::Configuration | Failure::RateLimited | Failure::Outage, _) => Err(failed),
            (Failure::Row, Some((first, second))) => {
                self.bisect(first)?;
                self.bisect(second)
            }
            _ => self.lease.fail(self.host, run, &failed),
        }
    }

    fn index(&mut self, run: Range<usize>) -> std::result::Result<(), Failed> {
        let started = Instant::now();
        let generation = self.target.generation.id;
        // Those given up are not looked at again.
        let open: Vec<usize> = run.filter(|position| self.lease.is_open(*position)).collect();
        let keys: Vec<String> = open.iter().map(|p| self.lease.key(*p).to_owned()).collect();
        let (target, reads, hashes) = self.host.transaction(|| {
            let target = Target::reload(generation)?;
            let (reads, hashes) = read_all(&target, &keys);
            Ok((target, reads, hashes))
        })?;
        self.target = target;
        self.reached("read");
        let outcomes = self.outcomes(&open, reads, &hashes)?;
        self.reached("chunked");
        let mut embeddings = self.embed(&outcomes)?;
        let mut accepted = Vec::with_capacity(outcomes.len());
        for (i, outcome) in outcomes.into_iter().enumerate() {
            match embeddings.rejected.remove(&i) {
                None if embeddings.has_all(&outcome) => accepted.push(outcome),
                None => {} // Still claimed, for whoever hears of the failure.
                Some(failed) => self.give_up(outcome.position, &failed)?,
            }
        }
        self.store(&accepted, &embeddings, started)?;
        embeddings.failed.map_or(Ok(()), Err)
    }

    fn store(
        &mut self,
        outcomes: &[Outcome],
        embedded: &Embeddings,
        started: Instant,
    ) -> std::result::Result<(), Failed> {
        let mut rate = *self.rate;
        rate.observe(outcomes.len(), started.elapsed().as_secs_f64());
        let chunks = embedded.spool.len();
        self.show(|name| format!("rag_pg: storing {chunks} chunks of \"{name}\""));
        self.host.transaction(|| {
            let target = Target::reload(self.target.generation.id)?;
            let applied = apply(&target, outcomes, embedded, rate.per_second());
            self.reached("applying");
            applied
        })?;
        self.reached("applied");
        self.lease.done(outcomes.iter().map(|outcome| outcome.token));
        self.rate.observe(outcomes.len(), started.elapsed().as_secs_f64());
        Ok(())
    }

    fn give_up(&mut self, position: usize, failed: &Failed) -> std::result::Result<(), Failed> {
        self.lease.fail(self.host, position..position + 1, failed)
    }

    /// See [`Host::reached`].
    pub(super) fn reached(&self, step: &str) {
        self.host.reached(step);
    }

    pub(super) fn show(&self, activity: impl FnOnce(&str) -> String) {
        self.host.show(Some(&activity(&self.target.collection.name)));
    }

    /// What is to be done about the documents that were read. One that cannot be divided into chunks
    /// is given up at once.
    fn outcomes(
        &mut self,
        positions: &[usize],
        reads: Vec<Read>,
        hashes: &HashMap<i64, ChunkHash>,
    ) -> std::result::Result<Vec<Outcome>, Failed> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(positions.len());
        let mut first_result = 0;
        for (&position, read) in positions.iter().zip(reads) {
            self.lease.renew_if_due(self.host)?;
            if let Found::Document(Document { content: Some(text), .. }) = &read.found {
                self.lease.note(position, text.chars().take(EXCERPT).collect());
            }
            match self.host.outside(|| self.outcome(position, read, hashes)) {
                Ok(None) => {}
                Ok(Some(outcome)) => {
                    outcomes.push(Outcome { first_result, ..outcome });
                    first_result += outcomes[outcomes.len() - 1].new_chunks();
                }
                Err(failed) if failed.class == Failure::Row => self.give_up(position, &failed)?,
                Err(failed) => return Err(failed),
            }
        }
        Ok(outcomes)
    }

    /// What is to be done about one document, or `None` where another job of this run does it: then
    /// the claim goes back and is looked at again.
    fn outcome(
        &self,
        position: usize,
        read: Read,
        hashes: &HashMap<i64, ChunkHash>,
    ) -> Result<Option<Outcome>> {
        let change = match read.found {
            Found::Repeated => return Ok(None),
            Found::Gone => Change::Erase,
            Found::Document(document) => self.change(&document, read.stored.as_ref(), hashes)?,
        };
        Ok(Some(Outcome {
            position,
            first_result: 0,
            key: self.lease.key(position).to_owned(),
            token: self.lease.token(position),
            expected: read.stored.map(|stored| stored.chunk_ids),
            change,
        }))
    }

    fn change(
        &self,
        document: &Document,
        stored: Option<&read::Stored>,
        hashes: &HashMap<i64, ChunkHash>,
    ) -> Result<Change> {
        let source_hash = plan::document_hash(document);
        if stored.is_some_and(|stored| stored.source_hash == source_hash) {
            return Ok(Change::Keep);
        }
        let generation = &self.target.generation;
        let options = Options {
            max_tokens: generation.max_tokens,
            overlap_tokens: generation.overlap_tokens,
            format: generation.format.parse()?,
            heading_tokens: 0,
            window: self.model.room(Purpose::Document)?,
        };
        let chunks = plan::chunks(document, &options, self.model.counter(), &mut checkpoint)?;
        let stored: Vec<(i64, ChunkHash)> = stored
            .iter()
            .flat_map(|stored| &stored.chunk_ids)
            // One without a known hash is nothing to keep.
            .map(|id| (*id, hashes.get(id).copied().unwrap_or_default()))
            .collect();
        let new: Vec<ChunkHash> = chunks.iter().map(|chunk| chunk.hash).collect();
        let diff = diff(&stored, &new);
        Ok(Change::Replace(State {
            source_hash,
            chunks: chunks.into_iter().zip(diff.kept).collect(),
            removed: diff.removed,
        }))
    }
}

fn read_all(target: &Target, keys: &[String]) -> (Vec<Read>, HashMap<i64, ChunkHash>) {
    let reads = read::documents(target, keys);
    let changed = reads.iter().filter_map(|read| match (&read.found, &read.stored) {
        (Found::Document(document), Some(stored)) => {
            (plan::document_hash(document)[..] != stored.source_hash).then_some(stored)
        }
        _ => None,
    });
    let ids: Vec<i64> = changed.flat_map(|stored| stored.chunk_ids.iter().copied()).collect();
    let hashes = if ids.is_empty() { HashMap::new() } else { read::hashes(target, ids) };
    (reads, hashes)
}
