//! Embedding the new chunks of a batch: in calls of the model that can be cut short, slowed down, and
//! narrowed to the text that fails.
use crate::catalog::target::Target;
use crate::ingest::pipeline::apply::{Change, Outcome};
use crate::ingest::pipeline::batch::Batch;
use crate::ingest::pipeline::{pace, remote, reuse};
use crate::models::embedder::Embedder;
use crate::sys::failed::Failed;
use crate::sys::interrupt::checkpoint;
use crate::sys::transaction::Host;
use crate::sys::workers::turnstile::is_database_wanted;
use rag::Error;
use rag::model::LocalModel;
use rag::queue::batch::halves;
use rag::queue::failure::Failure;
use rag::queue::plan::{self, Chunk};
use rag::queue::spool::Spool;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Texts handed to the model at once. Each comes back with a vector per token, 400 KB at the most.
const TEXTS: usize = 64;
/// Tokens of a local model's first call, whose speed is not known yet, and the least of the others, since the model takes
/// as many at once; and how long the others may last: between them the claims are prolonged, and small documents of other generations go first.
const FIRST_TOKENS: usize = 1_024;
const CALL: Duration = Duration::from_millis(250);
/// Where a server keeps temporary files, from its working directory.
const TEMPORARY: &str = "base/pgsql_tmp";

/// What the model made of a batch.
pub struct Embeddings {
    /// Results of the new chunks of all outcomes, in order.
    pub spool: Spool,
    /// Which of these another generation had.
    pub is_reused: Vec<bool>,
    /// Outcomes, by position, with a text that the model cannot take.
    pub rejected: HashMap<usize, Failed>,
    /// What ended it before everything was embedded.
    pub failed: Option<Failed>,
}

impl Embeddings {
    /// Whether all new chunks of an outcome are embedded.
    pub fn has_all(&self, outcome: &Outcome) -> bool {
        let first = outcome.first_result;
        (first..first + outcome.new_chunks()).all(|position| self.spool.has(position))
    }

    /// The results of these positions alone, in this order.
    pub fn only(&self, positions: &[usize]) -> rag::Result<Self> {
        let mut spool = Spool::new(positions.len(), TEMPORARY);
        for (to, &from) in positions.iter().enumerate() {
            spool.put(to, &self.spool.get(from)?)?;
        }
        let is_reused = positions.iter().map(|&from| self.is_reused[from]).collect();
        Ok(Self { spool, is_reused, rejected: HashMap::new(), failed: None })
    }
}

/// A new chunk and whose it is.
struct New<'a> {
    chunk: &'a Chunk,
    outcome: usize,
    /// Of the claim.
    position: usize,
}

impl New<'_> {
    fn tokens(&self) -> usize {
        self.chunk.heading_tokens + self.chunk.token_count
    }
}

impl Batch<'_> {
    /// Embeds the new chunks of all documents together, by length: texts that share a batch of the
    /// model are then about equally long. A text that fails costs its document, and two calls for
    /// each time that a call is halved; nothing is embedded twice. What another generation has is taken
    /// from there. A failure that is no document's ends it, and what was embedded before is kept.
    pub fn embed(&mut self, outcomes: &[Outcome]) -> Result<Embeddings, Failed> {
        let chunks = new_chunks(outcomes);
        let spool = Spool::new(chunks.len(), TEMPORARY);
        let is_reused = vec![false; chunks.len()];
        let mut embeddings =
            Embeddings { spool, is_reused, rejected: HashMap::new(), failed: None };
        self.reuse(outcomes, &chunks, &mut embeddings)?;
        let is_fresh = |i: &usize| !embeddings.is_reused[*i];
        let mut order: Vec<usize> = (0..chunks.len()).filter(is_fresh).collect();
        order.sort_by_key(|&i| Reverse(chunks[i].tokens()));
        let mut rest = &order[..];
        while !rest.is_empty() {
            let (slice, behind) = rest.split_at(self.call_size(&chunks, rest));
            match self.call(&chunks, slice, &mut embeddings) {
                Ok(()) => rest = behind,
                Err(failed) if failed.is_cancel() => return Err(failed),
                Err(failed) => {
                    embeddings.failed = Some(failed);
                    break;
                }
            }
        }
        Ok(embeddings)
    }

    fn reuse(
        &mut self,
        outcomes: &[Outcome],
        chunks: &[New<'_>],
        embeddings: &mut Embeddings,
    ) -> Result<(), Failed> {
        for (slice, start) in chunks.chunks(reuse::CHUNKS).zip((0..).step_by(reuse::CHUNKS)) {
            self.lease.renew_if_due(self.host)?;
            let wanted: Vec<(&str, &Chunk)> =
                slice.iter().map(|new| (outcomes[new.outcome].key.as_str(), new.chunk)).collect();
            let found = self.host.transaction(|| reuse::find(&self.target, &wanted))?;
            let Some(found) = found else { return Ok(()) };
            self.host.outside(|| {
                for (position, embedded) in found {
                    embeddings.spool.put(start + position, &embedded)?;
                    embeddings.is_reused[start + position] = true;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// One call of the model, or as many as it takes to find the texts that fail.
    fn call(
        &mut self,
        chunks: &[New<'_>],
        slice: &[usize],
        embeddings: &mut Embeddings,
    ) -> Result<(), Failed> {
        // A document that changed or went meanwhile is not asked for.
        let is_wanted = |&i: &usize| {
            !embeddings.rejected.contains_key(&chunks[i].outcome)
                && self.lease.is_open(chunks[i].position)
        };
        let mut wanted: Vec<usize> = slice.iter().copied().filter(is_wanted).collect();
        let failed = match self.call_once(chunks, &wanted, &mut embeddings.spool) {
            Ok(rejected) => {
                let of = |(i, failed): (usize, Failed)| (chunks[wanted[i]].outcome, failed);
                embeddings.rejected.extend(rejected.into_iter().map(of));
                return Ok(());
            }
            Err(failed) => failed,
        };
        // A remote model's call finds such a text itself.
        wanted.retain(|&i| !embeddings.spool.has(i));
        match (failed.class, halves(0..wanted.len())) {
            (Failure::Row, Some((first, second))) => {
                self.call(chunks, &wanted[first], embeddings)?;
                self.call(chunks, &wanted[second], embeddings)
            }
            (Failure::Row, None) if !wanted.is_empty() => {
                embeddings.rejected.insert(chunks[wanted[0]].outcome, failed);
                Ok(())
            }
            _ => Err(failed),
        }
    }

    /// One call of the model. Returns which of the texts a remote one fails at while others succeed.
    fn call_once(
        &mut self,
        chunks: &[New<'_>],
        slice: &[usize],
        spool: &mut Spool,
    ) -> Result<Vec<(usize, Failed)>, Failed> {
        if slice.is_empty() {
            return Ok(Vec::new());
        }
        let texts: Vec<&Chunk> = slice.iter().map(|&i| chunks[i].chunk).collect();
        let tokens: usize = slice.iter().map(|&i| chunks[i].tokens()).sum();
        let (host, lease, most) = (self.host, &mut self.lease, self.model.window());
        lease.renew_if_due(host)?;
        pace::wait(host, tokens, most, || lease.renew_if_due(host))?;
        self.show(|name| format!("rag_pg: embedding {} chunks of \"{name}\"", chunks.len()));
        let rejected = match &self.model {
            Embedder::Local(model) => {
                let started = Instant::now();
                while !embed_locally(host, &self.target, model, &texts, slice, spool)? {
                    self.lease.renew_if_due(host)?;
                }
                self.tokens_per_second = Some(tokens as f64 / started.elapsed().as_secs_f64());
                Vec::new()
            }
            Embedder::Remote(client) => {
                remote::embed(host, &mut self.lease, client, &texts, slice, spool)?
            }
        };
        self.reached("embedded");
        Ok(rejected)
    }

    /// How many of the texts `rest` go into the next call.
    fn call_size(&self, chunks: &[New<'_>], rest: &[usize]) -> usize {
        // A remote call is divided into requests further on, several of them under way at once.
        let texts = if self.model.is_local() { TEXTS } else { usize::MAX };
        let lasting = match self.tokens_per_second {
            _ if !self.model.is_local() => usize::MAX,
            None => FIRST_TOKENS,
            Some(pace) => FIRST_TOKENS.max((pace * CALL.as_secs_f64()) as usize),
        };
        let (most, mut total) = (pace::most_tokens().min(lasting), 0_usize);
        let fits = |&&i: &&usize| {
            total = total.saturating_add(chunks[i].tokens());
            total <= most
        };
        rest.iter().take(texts).take_while(fits).count().max(1)
    }
}

/// False where it was left off because somebody wants the database for himself: a call of a large model lasts longer
/// than he waits.
fn embed_locally(
    host: &Host,
    target: &Target,
    model: &LocalModel,
    texts: &[&Chunk],
    positions: &[usize],
    spool: &mut Spool,
) -> Result<bool, Failed> {
    let generation = &target.generation;
    let mut is_left_off = false;
    let mut checkpoint = || {
        checkpoint()?;
        is_left_off = host.is_worker() && is_database_wanted();
        if is_left_off { Err(Error::cancelled()) } else { Ok(()) }
    };
    let result = host.outside(|| {
        let tokens: usize = texts.iter().map(|c| c.heading_tokens + c.token_count).sum();
        pgrx::debug1!("rag_pg: model call with {} texts, {tokens} tokens", texts.len());
        let (dimensions, with_bits) = (generation.dimensions, generation.bits.is_some());
        let embedded = plan::embed(texts, model, dimensions, with_bits, &mut checkpoint)?;
        for (&position, result) in positions.iter().zip(embedded) {
            spool.put(position, &result)?;
        }
        Ok(())
    });
    if is_left_off { Ok(false) } else { result.map(|()| true) }
}

fn new_chunks(outcomes: &[Outcome]) -> Vec<New<'_>> {
    let mut new = Vec::new();
    for (outcome, one) in outcomes.iter().enumerate() {
        let Change::Replace(state) = &one.change else { continue };
        let unkept = state.chunks.iter().filter(|(_, kept)| kept.is_none());
        new.extend(unkept.map(|(chunk, _)| New { chunk, outcome, position: one.position }));
    }
    new
}
