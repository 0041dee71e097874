//! One claim of jobs: read, chunk and embed without a snapshot, apply, and account for failures.
use crate::catalog::collection::Generation;
use crate::catalog::model::{local, remote};
use crate::catalog::target::Target;
use crate::ingest::pipeline::apply::{Change, Outcome, State, apply};
use crate::ingest::pipeline::embed::Embeddings;
use crate::ingest::pipeline::others::Others;
use crate::ingest::pipeline::read;
use crate::ingest::pipeline::read::{Found, Read};
use crate::ingest::pipeline::{parts, share};
use crate::ingest::queue::lease::Lease;
use crate::models::embedder::Embedder;
use crate::models::remote::Remote;
use crate::sys::failed::Failed;
use crate::sys::interrupt::checkpoint;
use crate::sys::limit;
use crate::sys::time_limit;
use crate::sys::transaction::Host;
use crate::sys::workers::board::ask_for_help;
use rag::chunk::Options;
use rag::model::Purpose;
use rag::queue::batch::halves;
use rag::queue::diff::{ChunkHash, diff};
use rag::queue::failure::Failure;
use rag::queue::plan::{self, Document};
use rag::{Error, Result, memory};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

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
    /// In the middle of another generation's batch.
    pub(super) is_aside: bool,
    /// Of a document of the claim, on average.
    pub(super) mean_bytes: Option<usize>,
}

/// Claims jobs of `generation` and works them off, while `others` are looked after. An error is a wish to stop;
/// everything else was recorded. `mean_bytes` of a document are learned from claim to claim.
pub fn work(
    host: &Host,
    generation: i32,
    others: Option<Others>,
    mean_bytes: &mut Option<usize>,
) -> std::result::Result<End, Failed> {
    let claimed = host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(None) };
        let remote = remote(&target.collection, &target.generation);
        target.generation.require_policies(&target.collection)?;
        let most =
            share::most_jobs(&target, remote.as_ref().ok().and_then(Option::as_ref), *mean_bytes);
        Ok(Lease::claim(generation, most, others).map(|lease| (target, remote, most, lease)))
    })?;
    let Some((target, remote, most, lease)) = claimed else { return Ok(End::Nothing) };
    if host.is_worker() && lease.len() == most as usize {
        // Others can begin with the rest at once.
        ask_for_help();
    }
    work_off(host, target, remote, lease, false, mean_bytes)
}

/// The same in the middle of another generation's batch, for what a local model does in a moment.
pub fn work_aside(host: &Host, generation: i32) -> std::result::Result<End, Failed> {
    let claimed = host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(None) };
        let Ok(None) = remote(&target.collection, &target.generation) else { return Ok(None) };
        target.generation.require_policies(&target.collection)?;
        Ok(Lease::claim(generation, share::ASIDE_JOBS, None).map(|lease| (target, lease)))
    })?;
    let Some((target, lease)) = claimed else { return Ok(End::Nothing) };
    let mut mean_bytes = None;
    let end = work_off(host, target, Ok(None), lease, true, &mut mean_bytes)?;
    // Larger documents wait for their turn.
    Ok(if mean_bytes.is_none_or(|mean| mean > share::ASIDE_BYTES) { End::Nothing } else { end })
}

fn work_off(
    host: &Host,
    target: Target,
    remote: Result<Option<Remote>>,
    lease: Lease,
    is_aside: bool,
    mean_bytes: &mut Option<usize>,
) -> std::result::Result<End, Failed> {
    let generation = target.generation.id;
    let opened = host.outside(|| open(&target, remote?));
    let mut is_models_fault = opened.is_err();
    let end = match opened {
        Ok(model) => {
            let (tokens_per_second, mean) = (None, None);
            let mut batch =
                Batch { host, target, model, lease, tokens_per_second, is_aside, mean_bytes: mean };
            let end = batch.all();
            *mean_bytes = batch.mean_bytes.or(*mean_bytes);
            // What can stand still with a remote model is the model.
            is_models_fault =
                !batch.model.is_local() && end.as_ref().is_err_and(|f| f.is_of_provider);
            match end {
                Ok(()) => batch.lease.release(host).map_err(|failed| (failed, batch.lease)),
                Err(failed) => Err((failed, batch.lease)),
            }
        }
        Err(failed) => Err((failed, lease)),
    };
    let (failed, mut lease) = match end {
        Ok(()) => return Ok(End::Done),
        Err(failed) => failed,
    };
    lease.release(host)?;
    if failed.is_cancel() || failed.class != Failure::Configuration || !is_models_fault {
        return Err(failed);
    }
    pause_generation(host, generation, &failed)?;
    Ok(End::Paused)
}

/// Stops work on one generation, whose model cannot be used: one that is made with another goes on.
pub fn pause_generation(
    host: &Host,
    generation: i32,
    failed: &Failed,
) -> std::result::Result<(), Failed> {
    host.transaction(|| {
        if let Some(name) = crate::ingest::queue::lease::pause_generation(generation, failed) {
            pgrx::log!(
                "rag_pg: generation {generation} of collection \"{name}\" is paused: {}",
                failed.reason()
            );
        }
        Ok(())
    })
}

/// Stops work on a collection until someone acts.
pub fn pause(host: &Host, collection: i32, failed: &Failed) -> std::result::Result<(), Failed> {
    host.transaction(|| {
        if let Some(name) = crate::ingest::queue::lease::pause(collection, failed) {
            pgrx::log!("rag_pg: collection \"{name}\" is paused: {}", failed.reason());
        }
        Ok(())
    })
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
    fn all(&mut self) -> std::result::Result<(), Failed> {
        self.reached("claimed");
        let _busy = self.model.busy();
        let mut sizes = self.sizes();
        if let Err(failed) = &sizes
            && self.forget_unreadable(0..self.lease.len(), failed)?
        {
            sizes = self.sizes();
        }
        let (sizes, runs) = match sizes {
            Ok(mut sizes) => {
                self.refuse_too_large(&mut sizes)?;
                let runs = self.share(&sizes)?;
                (sizes, runs)
            }
            // Whichever it is: one after the other.
            Err(failed) if failed.class == Failure::Row => {
                let count = self.lease.len();
                (vec![0; count], (0..count).map(|position| position..position + 1).collect())
            }
            Err(failed) => return self.failed(0..self.lease.len(), failed),
        };
        for (i, run) in runs.into_iter().enumerate() {
            // What is left goes back.
            if self.is_paused()? || i > 0 && self.lease.others_wait(self.host)? {
                break;
            }
            // As the table has it, as it is read, and what is made of it.
            let bytes: usize = sizes[run.clone()].iter().sum();
            if let Err(failed) = self.host.outside(|| memory::require(3 * bytes)) {
                self.failed(run, failed)?;
                continue;
            }
            self.lease.charge(self.host, &run)?;
            self.bisect(run)?;
            if !self.lease.has_open() {
                break;
            }
        }
        Ok(())
    }

    /// Bytes of each claimed document, 0 of one whose claim is gone.
    fn sizes(&self) -> std::result::Result<Vec<usize>, Failed> {
        let (open, keys) = self.open(0..self.lease.len());
        let found = self.host.transaction(|| Ok(read::sizes(&self.target, &keys)))?;
        let mut sizes = vec![0; self.lease.len()];
        for (position, size) in open.into_iter().zip(found) {
            sizes[position] = size;
        }
        Ok(sizes)
    }

    /// Positions and keys of those of `run` that are still claimed.
    fn open(&self, run: Range<usize>) -> (Vec<usize>, Vec<String>) {
        run.filter(|position| self.lease.is_open(*position))
            .map(|position| (position, self.lease.key(position).to_owned()))
            .unzip()
    }

    /// After a failure: has the source compared in place of the jobs of `run` whose keys are no texts of their types any more, since
    /// a label of an enum was renamed, or a table that a `regclass` names. Whether there were any. The comparison finds what has
    /// such a text for its key under that same text: those jobs are left to fail.
    fn forget_unreadable(
        &mut self,
        run: Range<usize>,
        failed: &Failed,
    ) -> std::result::Result<bool, Failed> {
        if failed.is_of_provider || !matches!(failed.class, Failure::Row | Failure::Configuration) {
            return Ok(false);
        }
        let positions = self.unreadable(run)?;
        if positions.is_empty() {
            return Ok(false);
        }
        let keys: Vec<String> = positions.iter().map(|p| self.lease.key(*p).to_owned()).collect();
        let held = self.host.transaction(|| {
            let target = Target::reload(self.target.generation.id)?;
            Ok(read::held(&target, &keys))
        })?;
        let gone = positions.iter().enumerate().filter(|(i, _)| !held.contains(i));
        let gone: Vec<usize> = gone.map(|(_, position)| *position).collect();
        if !gone.is_empty() {
            self.lease.forget(self.host, &gone)?;
        }
        Ok(!gone.is_empty())
    }

    /// Those of `run` whose keys cannot be read.
    fn unreadable(&self, run: Range<usize>) -> std::result::Result<Vec<usize>, Failed> {
        let (open, keys) = self.open(run.clone());
        let parsed = self.host.transaction(|| {
            let target = Target::reload(self.target.generation.id)?;
            read::parse(&target, &keys);
            Ok(())
        });
        match (parsed, halves(run)) {
            (Ok(()), _) => Ok(Vec::new()),
            (Err(failed), _) if failed.is_cancel() => Err(failed),
            (Err(_), None) => Ok(open),
            (Err(_), Some((first, second))) => {
                Ok([self.unreadable(first)?, self.unreadable(second)?].concat())
            }
        }
    }

    /// Gives up the documents that are over `rag_pg.max_document_size`, before they are read. Nothing of them is left then.
    fn refuse_too_large(&mut self, sizes: &mut [usize]) -> std::result::Result<(), Failed> {
        for (position, size) in sizes.iter_mut().enumerate() {
            if let Err(failed) = self.host.outside(|| limit::document_size(*size)) {
                self.give_up(position, &failed)?;
                *size = 0;
            }
        }
        Ok(())
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
        if self.forget_unreadable(run.clone(), &failed)? {
            return self.bisect(run);
        }
        match (failed.class, halves(run.clone())) {
            (Failure::Configuration | Failure::RateLimited | Failure::Outage, _) => Err(failed),
            (Failure::Row, Some((first, second))) => {
                self.bisect(first)?;
                self.bisect(second)
            }
            _ => {
                self.lease.fail(self.host, run, &failed)?;
                // Others go first for a while: what comes next may take as long.
                if time_limit::is_exceeded(failed.sqlstate()) { Err(failed) } else { Ok(()) }
            }
        }
    }

    fn index(&mut self, run: Range<usize>) -> std::result::Result<(), Failed> {
        let generation = self.target.generation.id;
        // Those given up are not looked at again.
        let (open, keys) = self.open(run);
        let (target, reads, hashes) = self.host.transaction(|| {
            let target = Target::reload(generation)?;
            self.reached("reading");
            let (reads, hashes) = read_all(&target, &keys);
            Ok((target, reads, hashes))
        })?;
        self.target = target;
        self.reached("read");
        let outcomes = self.outcomes(&open, reads, &hashes)?;
        self.reached("chunked");
        for group in parts::groups(outcomes, self.model.is_local()) {
            self.index_group(group)?;
        }
        Ok(())
    }

    /// Embeds and stores documents that are stored together; a long one alone, in parts.
    fn index_group(&mut self, mut outcomes: Vec<Outcome>) -> std::result::Result<(), Failed> {
        if let [outcome] = &mut outcomes[..]
            && !self.store_parts(outcome)?
        {
            return Ok(()); // Its claim is void, or given back later.
        }
        let mut first_result = 0;
        for outcome in &mut outcomes {
            outcome.first_result = first_result;
            first_result += outcome.new_chunks();
        }
        let mut embeddings = self.embed(&outcomes)?;
        let (mut accepted, mut begun) = (Vec::with_capacity(outcomes.len()), Vec::new());
        for (i, outcome) in outcomes.into_iter().enumerate() {
            match embeddings.rejected.remove(&i) {
                None if embeddings.has_all(&outcome) => accepted.push(outcome),
                // Still claimed, for whoever hears of the failure.
                None => begun.push(outcome),
                Some(failed) => self.give_up(outcome.position, &failed)?,
            }
        }
        self.store(&accepted, &embeddings)?;
        for outcome in begun {
            self.store_begun(&outcome, &embeddings)?;
        }
        embeddings.failed.map_or(Ok(()), Err)
    }

    fn store(
        &mut self,
        outcomes: &[Outcome],
        embedded: &Embeddings,
    ) -> std::result::Result<(), Failed> {
        let chunks = embedded.spool.len();
        self.show(|name| format!("rag_pg: storing {chunks} chunks of \"{name}\""));
        self.host.transaction(|| {
            let target = Target::reload(self.target.generation.id)?;
            self.reached("storing");
            let applied = apply(&target, outcomes, embedded);
            self.reached("applying");
            applied
        })?;
        self.reached("applied");
        self.lease.done(outcomes.iter().map(|outcome| outcome.token));
        Ok(())
    }

    pub(super) fn give_up(
        &mut self,
        position: usize,
        failed: &Failed,
    ) -> std::result::Result<(), Failed> {
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
        for (&position, read) in positions.iter().zip(reads) {
            self.lease.renew_if_due(self.host)?;
            if let Found::Document(Document { content: Some(text), .. }) = &read.found {
                self.lease.note(position, text.chars().take(EXCERPT).collect());
            }
            match self.host.outside(|| self.outcome(position, read, hashes)) {
                Ok(None) => {}
                Ok(Some(outcome)) => outcomes.push(outcome),
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
        limit::document_size(document.content.as_ref().map_or(0, String::len))?;
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
            source_hash: source_hash.to_vec(),
            chunks: chunks.into_iter().map(Rc::new).zip(diff.kept).collect(),
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
