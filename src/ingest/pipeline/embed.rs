//! Embeds the new chunks of a batch: in calls of the model that are short, keep to a rate, and are bisected to the text that
//! fails. A text that several chunks have is embedded once.
use crate::catalog::target::Target;
use crate::ingest::imported;
use crate::ingest::imported::text_hash;
use crate::ingest::pipeline::change::{ChunkState, DocumentChange, PlannedChunk};
use crate::ingest::pipeline::live_lease::LiveLease;
use crate::ingest::pipeline::{rate_limit, reuse};
use crate::ingest::queue::lease::Job;
use crate::models::call_log;
use crate::models::embedder::Embedder;
use crate::models::remote::Remote;
use crate::sys::failed::Failed;
use crate::sys::guc;
use crate::sys::interrupt::checkpoint;
use crate::sys::process::cpu_time;
use crate::sys::transaction::Host;
use crate::sys::workers::yield_database::is_database_requested;
use rag::model::{LocalModel, Purpose};
use rag::queue::batch::halves;
use rag::queue::diff::ChunkHash;
use rag::queue::failure::Failure;
use rag::queue::give_way;
use rag::queue::plan::{self, Chunk, Embedded};
use rag::queue::spool::Spool;
use rag::queue::unstored::Unstored;
use rag::{Error, remote};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Texts of one call of a local model. Each comes back with a vector per token, 400 KB at most.
const TEXTS: usize = 64;
/// Tokens of a local model's first call, whose speed is not known yet, and the least of the later calls: the model takes as
/// many at once.
const FIRST_TOKENS: usize = 1_024;
/// How long a later call may last: between two calls the lease is kept alive.
const CALL: Duration = Duration::from_millis(250);
/// Where a server keeps temporary files, from its working directory.
const TEMPORARY: &str = "base/pgsql_tmp";

/// How fast a local model is, as its last call shows.
#[derive(Default)]
pub struct LocalPace {
    tokens_per_second: Option<f64>,
    /// Before the next call.
    rest: Duration,
}

/// What became of the chunks that were to be embedded. Those that were have their result in the spool.
pub struct Embeddings {
    /// Embedded chunks.
    pub spool: Spool,
    /// By job, why the model cannot take one of the document's texts.
    pub rejected: HashMap<i64, Rc<Failed>>,
    /// What ended the run before everything was embedded.
    pub failed: Option<Failed>,
}

impl Embeddings {
    /// Whether the run was cancelled: nothing is to be stored then.
    pub fn is_cancelled(&self) -> bool {
        self.failed.as_ref().is_some_and(Failed::is_cancel)
    }
}

/// A text to embed.
struct PendingText<'c> {
    /// The chunks that have it, at least one.
    chunks: Vec<PendingChunk<'c>>,
    /// Whether a remote model failed at it before. Of a document with several new chunks, it may be any.
    is_suspect: bool,
}

/// A chunk to embed and the job of its document.
struct PendingChunk<'c> {
    job: &'c Job,
    planned: &'c mut PlannedChunk,
}

/// One run over the new chunks of some documents.
pub struct EmbeddingRun<'a, 'h> {
    live: &'a mut LiveLease<'h>,
    target: &'a Target,
    model: &'a Embedder,
    pace: &'a mut LocalPace,
    unstored: &'a mut Unstored,
    /// Texts to embed in all.
    count: usize,
    embeddings: Embeddings,
}

impl<'a, 'h> EmbeddingRun<'a, 'h> {
    /// A run that keeps to a local model's `pace`, and takes what is `unstored` from there.
    pub fn new(
        live: &'a mut LiveLease<'h>,
        target: &'a Target,
        model: &'a Embedder,
        pace: &'a mut LocalPace,
        unstored: &'a mut Unstored,
    ) -> Self {
        let spool = Spool::new(TEMPORARY);
        let embeddings = Embeddings { spool, rejected: HashMap::new(), failed: None };
        Self { live, target, model, pace, unstored, count: 0, embeddings }
    }

    /// Embeds the first `most` new chunks of all documents together, by length: texts that share a batch of the model are
    /// then about equally long. A text that fails costs its documents, and two calls each time that a call is halved; nothing
    /// is embedded twice. Texts that an attempt before this did not store are taken, and vectors that another generation has
    /// are copied. A failure without a single document to blame ends the run; what was embedded before is kept.
    pub fn run(mut self, documents: &mut [DocumentChange<'_>], most: usize) -> Embeddings {
        let mut texts = pending_texts(documents, most);
        self.count = texts.len();
        self.embeddings.failed = self.embed(&mut texts).err();
        self.embeddings
    }

    fn embed(&mut self, texts: &mut [PendingText<'_>]) -> Result<(), Failed> {
        self.take_unstored(texts)?;
        self.reuse(texts)?;
        self.take_imported(texts)?;
        let mut pending: Vec<&mut PendingText<'_>> =
            texts.iter_mut().filter(|text| text.is_new()).collect();
        pending.sort_by_key(|text| (text.is_suspect, Reverse(text.tokens())));
        let mut rest = &mut pending[..];
        while !rest.is_empty() {
            let (call, behind) = rest.split_at_mut(self.call_size(rest));
            self.call(call)?;
            rest = behind;
        }
        Ok(())
    }

    fn take_unstored(&mut self, texts: &mut [PendingText<'_>]) -> Result<(), Failed> {
        self.live.host.outside(|| {
            for text in texts {
                let hash = text.chunk().embedding_hash();
                if let Some(embedded) = self.unstored.take(self.target.generation.id, &hash)? {
                    text.put(&mut self.embeddings.spool, &embedded, false)?;
                }
            }
            Ok(())
        })
    }

    fn reuse(&mut self, texts: &mut [PendingText<'_>]) -> Result<(), Failed> {
        let mut pending: Vec<_> = texts.iter_mut().filter(|text| text.is_new()).collect();
        for texts in pending.chunks_mut(reuse::CHUNKS) {
            self.live.keep_alive()?;
            let chunks = texts.iter().flat_map(|text| &text.chunks);
            let wanted: Vec<(&str, ChunkHash)> = chunks.map(PendingChunk::name).collect();
            let found = self.live.host.transaction(|| reuse::find(self.target, &wanted))?;
            let Some(found) = found else { return Ok(()) };
            self.live.host.outside(|| {
                for text in texts {
                    let embedded = text.chunks.iter().find_map(|chunk| found.get(&chunk.name()));
                    if let Some(embedded) = embedded {
                        text.put(&mut self.embeddings.spool, embedded, true)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Token bits come of embedding alone: with them nothing is imported.
    fn take_imported(&mut self, texts: &mut [PendingText<'_>]) -> Result<(), Failed> {
        if self.target.generation.is_loaded || self.target.bits.is_some() {
            return Ok(());
        }
        let mut pending: Vec<_> = texts.iter_mut().filter(|text| text.is_new()).collect();
        for texts in pending.chunks_mut(reuse::CHUNKS) {
            self.live.keep_alive()?;
            let hash = |text: &PendingText<'_>| text_hash(&text.chunk().embedding_text());
            let hashes: Vec<ChunkHash> = texts.iter().map(|text| hash(text)).collect();
            let generation = self.target.generation.id;
            let mut found =
                self.live.host.transaction(|| Ok(imported::find(generation, &hashes)))?;
            self.live.host.outside(|| {
                for (text, hash) in texts.iter_mut().zip(&hashes) {
                    if let Some(vector) = found.remove(hash) {
                        let embedded = Embedded { vector, bits: None };
                        text.put(&mut self.embeddings.spool, &embedded, true)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// One call of the model, or as many as it takes to find the texts that fail.
    fn call(&mut self, texts: &mut [&mut PendingText<'_>]) -> Result<(), Failed> {
        // Texts are left out if all their documents changed or went meanwhile.
        let is_wanted = |text: &&mut PendingText<'_>| {
            text.chunks.iter().any(|chunk| {
                self.live.lease.holds(chunk.job)
                    && !self.embeddings.rejected.contains_key(&chunk.job.token)
            })
        };
        let texts = texts.iter_mut().map(|text| &mut **text);
        let mut wanted: Vec<&mut PendingText<'_>> = texts.filter(is_wanted).collect();
        let Err(failed) = self.call_once(&mut wanted) else { return Ok(()) };
        // A remote model's call finds such a text itself.
        wanted.retain(|text| text.is_new());
        if failed.class != Failure::Row || wanted.is_empty() {
            return Err(failed);
        }
        if let Some((first, second)) = halves(&mut wanted) {
            self.call(first)?;
            return self.call(second);
        }
        self.reject(wanted[0], &Rc::new(failed));
        Ok(())
    }

    fn reject(&mut self, text: &PendingText<'_>, failed: &Rc<Failed>) {
        let tokens = text.chunks.iter().map(|chunk| (chunk.job.token, Rc::clone(failed)));
        self.embeddings.rejected.extend(tokens);
    }

    fn call_once(&mut self, texts: &mut [&mut PendingText<'_>]) -> Result<(), Failed> {
        if texts.is_empty() {
            return Ok(());
        }
        let host = self.live.host;
        let tokens: usize = texts.iter().map(|text| text.tokens()).sum();
        self.live.keep_alive()?;
        self.give_way()?;
        rate_limit::wait(host, tokens, self.model.window(), || self.live.keep_alive())?;
        let (count, name) = (self.count, &self.target.collection.name);
        host.show(Some(&format!("rag_pg: embedding {count} chunks of \"{name}\"")));
        match self.model {
            Embedder::Local(model) => {
                let (started, cpu_before) = (Instant::now(), cpu_time());
                while !self.embed_locally(model, texts, tokens)? {
                    self.live.keep_alive()?;
                }
                let wall = started.elapsed();
                self.pace.tokens_per_second = Some(tokens as f64 / wall.as_secs_f64());
                let cpu = cpu_time().saturating_sub(cpu_before);
                self.pace.rest = give_way::rest(wall, cpu, model.options().threads);
            }
            Embedder::Remote(model) => self.embed_remotely(model, texts)?,
        }
        host.reached("embedded");
        Ok(())
    }

    /// Rests as long as the last call had to wait for a processor: see `rag_pg.worker_nice`. Before the next call, so that
    /// what is embedded is stored at once. Small documents of other generations are indexed meanwhile.
    fn give_way(&mut self) -> Result<(), Failed> {
        let until = Instant::now() + std::mem::take(&mut self.pace.rest);
        while self.live.others.is_some() && guc::worker::nice() > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.live.host.show(Some("rag_pg: leaving the processors to others"));
            self.live.host.sleep(left.min(rate_limit::LONGEST_SLEEP))?;
            self.live.keep_alive()?;
        }
        Ok(())
    }

    /// How many of the texts `rest` go into the next call.
    fn call_size(&self, rest: &[&mut PendingText<'_>]) -> usize {
        // A remote call is divided into requests further on, several of them at once.
        let is_local = self.model.is_local();
        let texts = if is_local { TEXTS } else { usize::MAX };
        let lasting = match self.pace.tokens_per_second {
            _ if !is_local => usize::MAX,
            None => FIRST_TOKENS,
            Some(speed) => FIRST_TOKENS.max((speed * CALL.as_secs_f64()) as usize),
        };
        let (most, mut total) = (rate_limit::most_tokens().min(lasting), 0_usize);
        let fits = |text: &&&mut PendingText<'_>| {
            total = total.saturating_add(text.tokens());
            total <= most
        };
        rest.iter().take(texts).take_while(fits).count().max(1)
    }

    /// False if it was cut short because a session waits for the database: a call of a large model lasts longer than the
    /// session does.
    fn embed_locally(
        &mut self,
        model: &LocalModel,
        texts: &mut [&mut PendingText<'_>],
        tokens: usize,
    ) -> Result<bool, Failed> {
        let (host, generation) = (self.live.host, &self.target.generation);
        let mut is_cut_short = false;
        let mut checkpoint = || {
            checkpoint()?;
            is_cut_short = host.is_worker() && is_database_requested();
            if is_cut_short { Err(Error::cancelled()) } else { Ok(()) }
        };
        let result = host.outside(|| {
            pgrx::debug1!("rag_pg: model call with {} texts, {tokens} tokens", texts.len());
            let chunks: Vec<&Chunk> = texts.iter().map(|text| text.chunk()).collect();
            let (dimensions, with_bits) = (generation.dimensions, generation.bits.is_some());
            let embedded = plan::embed(&chunks, model, dimensions, with_bits, &mut checkpoint)?;
            for (text, embedded) in texts.iter_mut().zip(embedded) {
                text.put(&mut self.embeddings.spool, &embedded, false)?;
            }
            Ok(())
        });
        if is_cut_short { Ok(false) } else { result.map(|()| true) }
    }

    /// Embeds in as many requests as it takes, several at once. What one request brought is kept when another fails or the call is
    /// ended: it is paid for. Texts that fail while others succeed reject their documents.
    ///
    /// No snapshot is held. A provider may take longer than a lease lasts, so the lease is kept alive meanwhile.
    fn embed_remotely(
        &mut self,
        model: &Remote,
        pending: &mut [&mut PendingText<'_>],
    ) -> Result<(), Failed> {
        let host = self.live.host;
        let mut lost = None;
        let result = host.outside(|| {
            let texts: Vec<Cow<'_, str>> =
                pending.iter().map(|text| text.chunk().embedding_text()).collect();
            let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
            pgrx::debug1!("rag_pg: remote call with {} texts", texts.len());
            let mut go_on = || {
                checkpoint()?;
                self.live.keep_alive_meanwhile().map_err(|failed| {
                    lost = Some(failed);
                    Error::cancelled()
                })
            };
            let suspects = pending.iter().filter(|text| text.is_suspect).count();
            let client = remote::Embedder(model);
            let partly = client.embed_partly(&texts, suspects, Purpose::Document, &mut go_on)?;
            for (text, embedding) in pending.iter_mut().zip(partly.embeddings) {
                if let Some(embedding) = embedding {
                    let embedded = Embedded { vector: embedding.vector, bits: None };
                    text.put(&mut self.embeddings.spool, &embedded, false)?;
                }
            }
            partly.cancelled.map_or(Ok((partly.rejected, partly.fault)), Err)
        });
        call_log::store(host, &model.take_records());
        keep_learnt(host, model);
        if let Some(failed) = lost {
            return Err(failed);
        }
        let (rejected, fault) = result?;
        if let Some(fault) = fault {
            return Err(Failed::of_call(fault));
        }
        for (text, fault) in rejected {
            self.reject(pending[text], &Rc::new(Failed::of_call(fault)));
        }
        Ok(())
    }
}

/// The texts of the first `most` new chunks of documents.
fn pending_texts<'c>(documents: &'c mut [DocumentChange<'_>], most: usize) -> Vec<PendingText<'c>> {
    let new = documents.iter_mut().flat_map(|document| {
        let job = document.job;
        let is_suspect = job.is_suspect() && document.new_chunks() == 1;
        let new = document.chunks_mut().iter_mut().filter(|planned| planned.is_new());
        new.map(move |planned| (PendingChunk { job, planned }, is_suspect))
    });
    let (mut texts, mut known) = (Vec::<PendingText<'c>>::new(), HashMap::new());
    for (chunk, is_suspect) in new.take(most) {
        let text = *known.entry(chunk.planned.chunk.embedding_hash()).or_insert(texts.len());
        if text == texts.len() {
            texts.push(PendingText { chunks: Vec::new(), is_suspect });
        }
        texts[text].is_suspect |= is_suspect;
        texts[text].chunks.push(chunk);
    }
    texts
}

impl PendingText<'_> {
    /// Any of its chunks.
    fn chunk(&self) -> &Chunk {
        &self.chunks[0].planned.chunk
    }

    fn tokens(&self) -> usize {
        self.chunks[0].planned.tokens()
    }

    fn is_new(&self) -> bool {
        self.chunks[0].planned.is_new()
    }

    /// Puts its embedding into the spool, for all of its chunks.
    fn put(&mut self, spool: &mut Spool, embedded: &Embedded, is_reused: bool) -> rag::Result<()> {
        let state = ChunkState::Embedded { result: spool.put(embedded)?, is_reused };
        self.chunks.iter_mut().for_each(|chunk| chunk.planned.state = state);
        Ok(())
    }
}

impl<'c> PendingChunk<'c> {
    /// Key of its document, and its hash.
    fn name(&self) -> (&'c str, ChunkHash) {
        (&self.job.key, self.planned.chunk.hash)
    }
}

/// Stores what was learnt of the model, even if the call failed. If that fails, the call is not repeated for it.
pub fn keep_learnt(host: &Host, model: &Remote) {
    let written = host.transaction(|| {
        model.keep_learnt();
        Ok(())
    });
    if let Err(failed) = written {
        failed.warn();
    }
}
