//! One claim of jobs: read, chunked and embedded without a snapshot, applied, and its failures recorded.
//!
//! A row takes a vector index a millisecond or more. The chunks of one transaction are therefore bounded: it delays others
//! for a short time only, and a crash loses little that was embedded. Parts of a long document are visible to searches as
//! soon as they are stored; a worker that continues the document finds them by their hashes.
use crate::catalog::collection::Generation;
use crate::catalog::model::{local, remote};
use crate::catalog::target::Target;
use crate::ingest::extract::{File, extract};
use crate::ingest::pipeline::apply::{apply, apply_part};
use crate::ingest::pipeline::change::{
    self, Change, ChunkState, DocumentChange, FileRow, PlannedChunk,
};
use crate::ingest::pipeline::claim_size;
use crate::ingest::pipeline::embed::{EmbeddingRun, Embeddings, LocalPace};
use crate::ingest::pipeline::extraction::ExtractionProgress;
use crate::ingest::pipeline::live_lease::{LiveLease, OtherGenerations};
use crate::ingest::pipeline::read;
use crate::ingest::pipeline::read::{ReadDocument, SourceRow};
use crate::ingest::queue::lease::{Job, Lease, unchanged};
use crate::ingest::queue::pause;
use crate::models::embedder::Embedder;
use crate::models::remote::Remote;
use crate::sys::failed::Failed;
use crate::sys::interrupt::checkpoint;
use crate::sys::limit;
use crate::sys::time_limit;
use crate::sys::transaction::Host;
use crate::sys::workers::shared_state::request_helper;
use rag::extract::ExtractedText;
use rag::queue::batch::halves;
use rag::queue::diff::ChunkHash;
use rag::queue::failure::Failure;
use rag::queue::plan::Document;
use rag::queue::spool::Spool;
use rag::queue::unstored::Unstored;
use rag::{Error, memory};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Most characters of a document that a dead job shows.
const EXCERPT: usize = 200;
/// Most chunks embedded and stored by one transaction.
const CHUNKS: usize = 512;
/// The same for a remote model: enough for several full requests at once.
const REMOTE_CHUNKS: usize = 2_048;

/// How a claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There was nothing to claim.
    Nothing,
    /// The jobs are done, released, or failed.
    Done,
    /// The generation was paused.
    Paused,
}

/// Claims jobs of `generation` and works on them. An error is a cancellation, or has no single document to blame; other
/// failures were recorded. `mean_bytes` of a document is estimated from claim to claim, and what was embedded and not stored is in
/// `unstored`.
pub fn work(
    host: &Host,
    generation: i32,
    others: Option<OtherGenerations>,
    mean_bytes: &mut Option<usize>,
    unstored: &mut Unstored,
) -> Result<End, Failed> {
    let claimed = host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(None) };
        let remote = remote(&target.collection, &target.generation);
        target.generation.require_policies(&target.collection)?;
        let known = remote.as_ref().ok().and_then(Option::as_ref);
        let most = claim_size::most_jobs(&target, known, *mean_bytes);
        Ok(Lease::claim(generation, most).map(|claimed| (target, remote, most, claimed)))
    })?;
    let Some((target, remote, most, (lease, jobs))) = claimed else { return Ok(End::Nothing) };
    if host.is_worker() && jobs.len() == most as usize {
        request_helper(); // There may be more jobs.
    }
    let live = LiveLease { host, lease, others };
    work_on(live, jobs, target, remote, false, mean_bytes, unstored)
}

/// The same between two steps of another generation's batch: for a local model, and for few small documents.
pub fn work_interleaved(host: &Host, generation: i32) -> Result<End, Failed> {
    let claimed = host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(None) };
        let Ok(None) = remote(&target.collection, &target.generation) else { return Ok(None) };
        target.generation.require_policies(&target.collection)?;
        let claimed = Lease::claim(generation, claim_size::INTERLEAVED_JOBS);
        Ok(claimed.map(|claimed| (target, claimed)))
    })?;
    let Some((target, (lease, jobs))) = claimed else { return Ok(End::Nothing) };
    let mut mean_bytes = None;
    let live = LiveLease { host, lease, others: None };
    let mut unstored = Unstored::default();
    let end = work_on(live, jobs, target, Ok(None), true, &mut mean_bytes, &mut unstored)?;
    // Large documents wait for their generation's turn.
    let is_small = mean_bytes.is_some_and(|mean| mean <= claim_size::INTERLEAVED_BYTES);
    Ok(if is_small { end } else { End::Nothing })
}

fn work_on(
    mut live: LiveLease<'_>,
    mut jobs: Vec<Job>,
    target: Target,
    remote: rag::Result<Option<Remote>>,
    is_interleaved: bool,
    mean_bytes: &mut Option<usize>,
    unstored: &mut Unstored,
) -> Result<End, Failed> {
    let (host, generation) = (live.host, target.generation.id);
    let opened = host.outside(|| open(&target, remote?));
    let mut is_models_fault = opened.is_err();
    let worked = opened.and_then(|model| {
        let is_local = model.is_local();
        let live = &mut live;
        let pace = LocalPace::default();
        let mut batch =
            ClaimBatch { live, target, model, pace, is_interleaved, mean_bytes, unstored };
        let worked = batch.run(&mut jobs);
        batch.unstored.tidy();
        // A remote collection pauses per generation, because its model, not its data, is at fault.
        is_models_fault = !is_local && worked.as_ref().is_err_and(|f| f.is_provider_failure);
        worked
    });
    // Paused before the jobs are released: nobody claims them only to have the same calls fail.
    let paused = match &worked {
        Err(failed)
            if is_models_fault && failed.class == Failure::Configuration && !failed.is_cancel() =>
        {
            Some(pause::generation(host, generation, failed))
        }
        _ => None,
    };
    host.reached("releasing");
    live.lease.release_all(host)?;
    match paused {
        Some(paused) => paused.map(|()| End::Paused),
        None => worked.map(|()| End::Done),
    }
}

fn open(target: &Target, remote: Option<Remote>) -> rag::Result<Embedder> {
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

/// A claim that is being worked on.
struct ClaimBatch<'a, 'h> {
    live: &'a mut LiveLease<'h>,
    target: Target,
    model: Embedder,
    pace: LocalPace,
    /// Whether it runs between two steps of another generation's batch.
    is_interleaved: bool,
    /// Of a document of the claim.
    mean_bytes: &'a mut Option<usize>,
    unstored: &'a mut Unstored,
}

impl ClaimBatch<'_, '_> {
    fn run(&mut self, jobs: &mut [Job]) -> Result<(), Failed> {
        let host = self.live.host;
        host.reached("claimed");
        let _busy = self.model.busy();
        let mut sizes_read = self.read_sizes(jobs);
        if let Err(failed) = &sizes_read
            && self.replace_unreadable(jobs, failed)?
        {
            sizes_read = self.read_sizes(jobs);
        }
        let runs = match sizes_read {
            Ok(()) => {
                self.refuse_too_large(jobs)?;
                self.runs(jobs)?
            }
            // One of them has no size; one by one they show which.
            Err(failed) if failed.class == Failure::Row => {
                (0..jobs.len()).map(|position| position..position + 1).collect()
            }
            Err(failed) => return self.failed(jobs, failed),
        };
        for (i, run) in runs.into_iter().enumerate() {
            if self.is_paused()? || i > 0 && self.live.should_yield()? {
                break; // The remaining jobs are released.
            }
            let jobs = &mut jobs[run];
            // The text as the table has it, as it is read, and its chunks; a file is held once.
            let bytes: usize = jobs.iter().map(|job| job.size).sum();
            let copies = if self.target.collection.is_of_files() { 1 } else { 3 };
            if let Err(failed) = host.outside(|| memory::require(copies * bytes)) {
                self.failed(jobs, failed)?;
                continue;
            }
            self.live.lease.charge(host, jobs)?;
            self.bisect(jobs)?;
            if self.live.lease.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn held<'j>(&self, jobs: &'j mut [Job]) -> Vec<&'j mut Job> {
        jobs.iter_mut().filter(|job| self.live.lease.holds(job)).collect()
    }

    fn read_sizes(&self, jobs: &mut [Job]) -> Result<(), Failed> {
        let held = self.held(jobs);
        let keys: Vec<String> = held.iter().map(|job| job.key.clone()).collect();
        let sizes = self.live.host.transaction(|| Ok(read::sizes(&self.target, &keys)))?;
        held.into_iter().zip(sizes).for_each(|(job, size)| job.size = size);
        Ok(())
    }

    /// After a failure: deletes the jobs whose keys are not valid for their types any more, since a label of an enum or a table
    /// that a `regclass` names was renamed, and has a scan compare the source instead. True if there were any. If a row has that
    /// same text as its key, the scan would find it again: its job is left to fail.
    fn replace_unreadable(&mut self, jobs: &[Job], failed: &Failed) -> Result<bool, Failed> {
        let can_be = matches!(failed.class, Failure::Row | Failure::Configuration);
        if failed.is_provider_failure || !can_be {
            return Ok(false);
        }
        let unreadable = self.unreadable(jobs)?;
        if unreadable.is_empty() {
            return Ok(false);
        }
        let keys: Vec<String> = unreadable.iter().map(|job| job.key.clone()).collect();
        let existing = self.live.host.transaction(|| {
            let target = Target::reload(self.target.generation.id)?;
            Ok(read::existing_keys(&target, &keys))
        })?;
        let gone = unreadable.into_iter().enumerate().filter(|(i, _)| !existing.contains(i));
        let gone: Vec<&Job> = gone.map(|(_, job)| job).collect();
        if !gone.is_empty() {
            self.live.lease.replace_by_scan(self.live.host, &gone)?;
        }
        Ok(!gone.is_empty())
    }

    /// Held jobs whose keys cannot be parsed.
    fn unreadable<'j>(&self, jobs: &'j [Job]) -> Result<Vec<&'j Job>, Failed> {
        let held: Vec<&Job> = jobs.iter().filter(|job| self.live.lease.holds(job)).collect();
        let keys: Vec<String> = held.iter().map(|job| job.key.clone()).collect();
        let parsed = self.live.host.transaction(|| {
            let target = Target::reload(self.target.generation.id)?;
            read::parse(&target, &keys);
            Ok(())
        });
        match parsed {
            Ok(()) => Ok(Vec::new()),
            Err(failed) if failed.is_cancel() => Err(failed),
            Err(_) if jobs.len() <= 1 => Ok(held),
            Err(_) => {
                let (first, second) = jobs.split_at(jobs.len() / 2);
                Ok([self.unreadable(first)?, self.unreadable(second)?].concat())
            }
        }
    }

    /// Gives up documents over `rag_pg.max_document_size`, or files over `rag_pg.max_file_size`, before they are read.
    fn refuse_too_large(&mut self, jobs: &mut [Job]) -> Result<(), Failed> {
        let is_of_files = self.target.collection.is_of_files();
        let check = if is_of_files { limit::file_size } else { limit::document_size };
        for job in jobs {
            if let Err(failed) = self.live.host.outside(|| check(job.size)) {
                self.give_up(job, &failed)?;
                job.size = 0;
            }
        }
        Ok(())
    }

    /// The runs to work on now; the jobs behind them are released.
    fn runs(&mut self, jobs: &[Job]) -> Result<Vec<Range<usize>>, Failed> {
        let total: usize = jobs.iter().map(|job| job.size).sum();
        *self.mean_bytes = Some(total / jobs.len().max(1));
        let runs = claim_size::runs_now(jobs, &self.model, self.is_interleaved);
        let end = runs.last().map_or(0, |run| run.end);
        if end < jobs.len() {
            let host = self.live.host;
            self.live.lease.release(host, &jobs[end..])?;
            if host.is_worker() && !self.is_interleaved {
                request_helper();
            }
        }
        Ok(runs)
    }

    fn is_paused(&self) -> Result<bool, Failed> {
        let generation = self.target.generation.id;
        let now = self.live.host.transaction(|| Ok(Generation::by_id(generation)))?;
        Ok(now.is_none_or(|generation| generation.is_paused))
    }

    /// Indexes documents together; if one of them makes that fail, finds it by bisection.
    fn bisect(&mut self, jobs: &mut [Job]) -> Result<(), Failed> {
        let Err(failed) = self.index(jobs) else { return Ok(()) };
        self.failed(jobs, failed)
    }

    fn failed(&mut self, jobs: &mut [Job], failed: Failed) -> Result<(), Failed> {
        let host = self.live.host;
        if failed.is_cancel() && !host.is_worker() {
            return Err(failed);
        }
        host.reached("failing");
        if self.replace_unreadable(jobs, &failed)? {
            return self.bisect(jobs);
        }
        match failed.class {
            Failure::Configuration | Failure::RateLimited | Failure::Outage => return Err(failed),
            Failure::Row => {
                if let Some((first, second)) = halves(jobs) {
                    self.bisect(first)?;
                    return self.bisect(second);
                }
            }
            Failure::Transient => {}
        }
        self.live.lease.fail(host, jobs, &failed)?;
        // The next documents may take as long: other generations go first for a while.
        if time_limit::is_exceeded(failed.sqlstate()) { Err(failed) } else { Ok(()) }
    }

    fn index(&mut self, jobs: &mut [Job]) -> Result<(), Failed> {
        let (host, generation) = (self.live.host, self.target.generation.id);
        let held = self.held(jobs);
        let keys: Vec<String> = held.iter().map(|job| job.key.clone()).collect();
        let tokens: Vec<i64> = held.iter().map(|job| job.token).collect();
        let (target, mut reads, unchanged, hashes) = host.transaction(|| {
            let target = Target::reload(generation)?;
            host.reached("reading");
            let mut reads = read::documents(&target, &keys)?;
            read::take_kept(&target, &keys, &mut reads)?;
            let unchanged = unchanged(target.collection.id, tokens.clone());
            let hashes = read::hashes_of_changed(&target, &reads);
            Ok((target, reads, unchanged, hashes))
        })?;
        self.target = target;
        host.reached("read");
        let mut is_unchanged = tokens.iter().map(|token| unchanged.contains(token));
        reads.retain(|_| is_unchanged.next().unwrap_or_default());
        let held = held.into_iter().filter(|job| unchanged.contains(&job.token)).collect();
        let stale = tokens.iter().copied().filter(|token| !unchanged.contains(token)).collect();
        self.live.lease.put_off(host, stale)?;
        let changes = self.changes(held, reads, &hashes)?;
        host.reached("chunked");
        for group in groups(changes, self.most_chunks()) {
            self.index_group(group)?;
        }
        Ok(())
    }

    /// What to do with the documents that were read. One that cannot be chunked is given up at once; one that another job of
    /// these stands for too is released in the end.
    fn changes<'j>(
        &mut self,
        jobs: Vec<&'j mut Job>,
        reads: Vec<ReadDocument>,
        hashes: &HashMap<i64, ChunkHash>,
    ) -> Result<Vec<DocumentChange<'j>>, Failed> {
        let mut changes = Vec::with_capacity(jobs.len());
        for (job, mut read) in jobs.into_iter().zip(reads) {
            self.live.keep_alive()?;
            let started = Instant::now();
            let pages = match self.extract(job, &mut read)? {
                Ok(pages) => pages,
                Err(failed) => {
                    self.give_up(job, &failed)?;
                    continue;
                }
            };
            let took = started.elapsed();
            if let SourceRow::Document(Document { content: Some(text), .. }) = &read.source {
                job.excerpt = Some(text.chars().take(EXCERPT).collect());
            }
            let job: &Job = job;
            let plan = || change::plan(&self.target, &self.model, &read, hashes);
            match self.live.host.outside(plan) {
                Ok(None) => {}
                Ok(Some(mut change)) => {
                    if let Change::Replace(new) = &mut change {
                        new.file = self.file_row(&mut read, pages, took);
                    }
                    let expected = read.stored.map(|stored| stored.chunk_ids);
                    changes.push(DocumentChange { job, expected, change });
                }
                Err(failed) if failed.class == Failure::Row => self.give_up(job, &failed)?,
                Err(failed) => return Err(failed),
            }
        }
        Ok(changes)
    }

    /// Extracts the text of a changed document's file, outside of any transaction. Returns how many pages that were, or why the
    /// file has no text; an error is no fault of the file's.
    fn extract(
        &mut self,
        job: &mut Job,
        read: &mut ReadDocument,
    ) -> Result<Result<usize, Failed>, Failed> {
        let Some(source) = read.file.as_ref().filter(|_| read.is_changed()) else {
            return Ok(Ok(0));
        };
        job.excerpt.clone_from(&source.name);
        let collection = &self.target.collection;
        let file = File {
            bytes: &source.bytes,
            format: &self.target.generation.format,
            name: source.name.as_deref(),
            media_type: source.media_type.as_deref(),
            password: None,
            max_pages: None,
            with_ocr: collection.with_ocr,
        };
        let (host, mut lost) = (self.live.host, None);
        let mut progress = ExtractionProgress::new(host, &collection.name, job.token);
        let live = &mut *self.live;
        let extracted = host.outside(|| {
            extract(&file, &mut |pages, of| {
                checkpoint()?;
                let told = progress.tell(pages, of);
                told.and_then(|()| live.keep_alive_meanwhile()).map_err(|failed| {
                    lost = Some(failed);
                    Error::cancelled()
                })
            })
        });
        if let Some(failed) = lost {
            return Err(failed);
        }
        host.reached("extracted");
        let extracted = match extracted? {
            Ok(extracted) => extracted,
            Err(failure) => return Ok(Err(Failed::of_file(failure))),
        };
        let (pages, description) = (extracted.pages.len(), Value::Object(extracted.description()));
        let text = host.outside(|| ExtractedText::join(extracted.pages))?;
        read.extracted(text, description);
        Ok(Ok(pages))
    }

    /// What the documents row keeps of the file of a document whose chunks are planned.
    fn file_row(&self, read: &mut ReadDocument, pages: usize, took: Duration) -> Option<FileRow> {
        let description = read.description.take()?.to_string();
        let SourceRow::Document(document) = &mut read.source else { return None };
        let text = document.content.take().unwrap_or_default();
        let text = ExtractedText { text, parts: std::mem::take(&mut document.parts) };
        let parts = text.parts_json().to_string();
        let text = self.target.collection.keeps_text.then_some(text.text);
        let hash = read.file_hash.clone();
        Some(FileRow { hash, text, parts, description, is_stored: false, pages, took })
    }

    /// Embeds and stores documents that are stored together; a long one is alone, and stored in parts.
    fn index_group(&mut self, mut group: Vec<DocumentChange<'_>>) -> Result<(), Failed> {
        if let [document] = &mut group[..]
            && !self.store_parts(document)?
        {
            return Ok(());
        }
        let mut embeddings = self.embed(&mut group, usize::MAX);
        let mut stored = HashSet::new();
        let ended = self.store_group(&group, &mut embeddings, &mut stored);
        let unstored = group.iter().filter(|document| !stored.contains(&document.job.token));
        self.keep_unstored(unstored, embeddings.spool);
        ended?;
        embeddings.failed.map_or(Ok(()), Err)
    }

    /// Stores what was embedded of documents, unless that was cancelled. Adds the tokens of those that were stored to `stored`.
    fn store_group(
        &mut self,
        group: &[DocumentChange<'_>],
        embeddings: &mut Embeddings,
        stored: &mut HashSet<i64>,
    ) -> Result<(), Failed> {
        if embeddings.is_cancelled() {
            return Ok(());
        }
        let host = self.live.host;
        let (complete, begun): (Vec<_>, Vec<_>) =
            group.iter().partition(|document| document.new_chunks() == 0);
        stored.extend(self.store(&complete, |target| {
            let applied = apply(target, &complete, &embeddings.spool);
            host.reached("applying");
            applied
        })?);
        host.reached("applied");
        self.live.lease.forget(complete.iter().map(|document| document.job.token));
        for document in begun {
            if self.end_incomplete(document, embeddings)?.is_some() {
                stored.insert(document.job.token);
            }
        }
        Ok(())
    }

    /// Keeps what was embedded of documents that were not stored for the next attempt: it is paid for. The transaction may have
    /// failed, or the documents changed meanwhile.
    fn keep_unstored<'d, 'j: 'd>(
        &mut self,
        documents: impl IntoIterator<Item = &'d DocumentChange<'j>>,
        spool: Spool,
    ) {
        let embedded = |planned: &PlannedChunk| match planned.state {
            ChunkState::Embedded { result, is_reused: false } => {
                Some((planned.chunk.embedding_hash(), result))
            }
            _ => None,
        };
        let texts = documents.into_iter().flat_map(DocumentChange::chunks).filter_map(embedded);
        self.unstored.keep(self.target.generation.id, texts, spool);
    }

    /// Embeds and stores all but the last part of a long document. False if work on it ends here: its job is lost or dead,
    /// or another generation is waiting.
    fn store_parts(&mut self, document: &mut DocumentChange<'_>) -> Result<bool, Failed> {
        let most = self.most_chunks();
        let mut is_first = true;
        while document.new_chunks() > most {
            if !is_first && self.live.should_yield()? {
                return Ok(false);
            }
            is_first = false;
            let left = document.new_chunks() - most;
            let mut embeddings = self.embed(std::slice::from_mut(document), most);
            let is_complete = document.new_chunks() == left;
            let stored = if embeddings.is_cancelled() {
                Ok(None)
            } else if is_complete {
                self.store_part(document, &embeddings.spool)
            } else {
                self.end_incomplete(document, &mut embeddings)
            };
            if !matches!(stored, Ok(Some(_))) {
                self.keep_unstored([&*document], embeddings.spool);
            }
            match stored? {
                Some(ids) if is_complete => document.note_stored(ids),
                _ => return embeddings.failed.map_or(Ok(false), Err),
            }
        }
        Ok(true)
    }

    /// Stores what was embedded of a document that is incomplete, for the next attempt: it is paid for. Then records why the
    /// model did not take the rest. Returns the ids of the new rows, if it was stored.
    fn end_incomplete(
        &mut self,
        document: &DocumentChange<'_>,
        embeddings: &mut Embeddings,
    ) -> Result<Option<Vec<i64>>, Failed> {
        let failed = embeddings.rejected.remove(&document.job.token);
        let is_final = failed.as_ref().is_some_and(|failed| failed.class == Failure::Row);
        let is_begun = document.chunks().iter().any(PlannedChunk::is_embedded);
        let mut stored = None;
        if is_begun && !is_final && self.live.lease.holds(document.job) {
            stored = self.store_part(document, &embeddings.spool)?;
        }
        failed.map_or(Ok(()), |failed| self.give_up(document.job, &failed))?;
        Ok(stored)
    }

    /// Stores the embedded chunks of a document that has new ones left; `None` if its job is lost.
    fn store_part(
        &self,
        document: &DocumentChange<'_>,
        spool: &Spool,
    ) -> Result<Option<Vec<i64>>, Failed> {
        let stored = self.store(&[document], |target| apply_part(target, document, spool))?;
        self.live.host.reached("part");
        Ok(stored)
    }

    fn most_chunks(&self) -> usize {
        if self.model.is_local() { CHUNKS } else { REMOTE_CHUNKS }
    }

    fn embed(&mut self, documents: &mut [DocumentChange<'_>], most: usize) -> Embeddings {
        let (live, pace, unstored) = (&mut *self.live, &mut self.pace, &mut *self.unstored);
        EmbeddingRun::new(live, &self.target, &self.model, pace, unstored).run(documents, most)
    }

    fn store<R>(
        &self,
        documents: &[&DocumentChange<'_>],
        apply: impl FnOnce(&Target) -> rag::Result<R>,
    ) -> Result<R, Failed> {
        let (host, name) = (self.live.host, &self.target.collection.name);
        let chunks = documents.iter().flat_map(|document| document.chunks());
        let chunks = chunks.filter(|planned| planned.is_embedded()).count();
        host.show(Some(&format!("rag_pg: storing {chunks} chunks of \"{name}\"")));
        host.transaction(|| {
            let target = Target::reload(self.target.generation.id)?;
            host.reached("storing");
            apply(&target)
        })
    }

    fn give_up(&mut self, job: &Job, failed: &Failed) -> Result<(), Failed> {
        self.live.lease.fail(self.live.host, std::slice::from_ref(job), failed)
    }
}

/// Documents in order, those together that are stored together; one with more than `most` new chunks is alone.
fn groups(changes: Vec<DocumentChange<'_>>, most: usize) -> Vec<Vec<DocumentChange<'_>>> {
    let (mut groups, mut total) = (Vec::<Vec<DocumentChange<'_>>>::new(), 0);
    for change in changes {
        let chunks = change.new_chunks();
        match groups.last_mut() {
            Some(group) if total + chunks <= most => {
                group.push(change);
                total += chunks;
            }
            _ => {
                groups.push(vec![change]);
                total = chunks;
            }
        }
    }
    groups
}
