//! Searches a collection: a [`request`] is prepared once, a [`strategy`] generates [`candidates`], their scores order them, and
//! the best are returned, with the [`passages`] around them.
//!
//! Everything runs with the caller's rights and in the caller's snapshot.

pub mod candidates;
pub mod explain;
pub mod lexical;
pub mod passages;
pub mod request;
pub mod strategy;
pub mod term_statistics;
use crate::catalog::collection::{Collection, Generation};
use crate::search::candidate::{ChunkCandidate, Fate, rank};
use crate::search::engine::candidates::{Run, generate};
use crate::search::engine::explain::INCOMPLETE;
use crate::search::engine::request::Request;
use crate::search::loading::Loading;
use crate::search::options::{MAX_CANDIDATES, Options};
use crate::search::resolve::Resolved;
use rag::Result;
use rag::model::Embedding;
use rag::search::diverse::{Choice, Limits, choose};
use rag::search::passage::Passage;
use std::time::{Duration, Instant};

/// Times of a search's steps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    pub embed: Duration,
    pub candidates: Duration,
    pub rank: Duration,
    pub total: Duration,
}

impl Timings {
    /// Milliseconds of each step and of everything.
    pub fn milliseconds(&self) -> [(&'static str, f64); 4] {
        let Self { embed, candidates, rank, total } = *self;
        [("embed", embed), ("gather", candidates), ("rank", rank), ("total", total)]
            .map(|(step, time)| (step, milliseconds(time)))
    }
}

/// Milliseconds, to the microsecond.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// What a search found, and the question as the model sees it.
pub struct Outcome {
    pub collection: Collection,
    pub generation: Generation,
    /// Best first.
    pub found: Vec<ChunkCandidate>,
    /// The other candidates that were scored, best first.
    pub others: Vec<ChunkCandidate>,
    /// Where neighbours were asked for: the results with their neighbours, each stretch once.
    pub passages: Option<Vec<Passage>>,
    /// Where an answer will quote them: the chunks of the passages that are no results themselves.
    pub neighbours: Vec<ChunkCandidate>,
    /// What is not searchable yet.
    pub loading: Option<Loading>,
    pub timings: Timings,
    /// The question's embedding, see [`Request`].
    pub question: Option<Embedding>,
}

impl Outcome {
    /// The rank of the better result that a result shares a passage with; `None` when the passage is its own, or there are no
    /// passages.
    pub fn merged_into(&self, chunk_id: i64) -> Option<usize> {
        let position = self.found.iter().position(|found| found.chunk_id == chunk_id)?;
        let passage = self.passages.iter().flatten().find(|p| p.hits.contains(&position))?;
        passage.hits.first().filter(|best| **best != position).map(|best| best + 1)
    }
}

/// Searches `collection` for `text`. `found` gets the collection's id once it is known, whatever follows.
pub fn search(
    collection: &str,
    text: &str,
    options: &Options,
    found: impl FnOnce(i32),
) -> Result<Outcome> {
    let started = Instant::now();
    let (request, embed) = Request::prepare(collection, text, options, found)?;
    let Ranked { candidates, run, timings } = ranked(&request)?;
    if run.is_incomplete {
        pgrx::notice!("{INCOMPLETE}");
    }
    let mut outcome = outcome(request, candidates, Timings { embed, ..timings });
    outcome.timings.total = started.elapsed();
    Ok(outcome)
}

/// Candidates with their scores and fates, best first, and the run that generated them.
struct Ranked {
    candidates: Vec<ChunkCandidate>,
    run: Run,
    timings: Timings,
}

/// Generates candidates, scores them and chooses among them. Limits per document and on duplicates may leave fewer than `top_k`
/// of the usual number of candidates: then more are generated.
fn ranked(request: &Request) -> Result<Ranked> {
    let options = &request.options;
    let is_limited = options.per_document.is_some() || options.near_duplicate.is_some();
    let (mut depth, mut wanted) = (options.depth, options.candidates);
    let mut timings = Timings::default();
    loop {
        let started = Instant::now();
        let mut run = generate(request, depth, wanted);
        timings.candidates += started.elapsed();
        let started = Instant::now();
        let mut candidates = std::mem::take(&mut run.candidates);
        let generation = &request.resolved.generation;
        rank(&mut candidates, options, generation, request.embedding.as_ref())?;
        timings.rank += started.elapsed();
        let kept = decide(options, &mut candidates);
        let may_be_more = candidates.len() >= wanted && wanted < MAX_CANDIDATES;
        if kept >= options.top_k || !is_limited || !may_be_more {
            return Ok(Ranked { candidates, run, timings });
        }
        wanted = (wanted * 4).min(MAX_CANDIDATES);
        depth = depth.max(wanted);
    }
}

/// Decides the fate of each candidate; returns how many are kept.
fn decide(options: &Options, ranked: &mut [ChunkCandidate]) -> usize {
    let Options { top_k, per_document, near_duplicate, .. } = *options;
    let limits = Limits { top_k, per_document, near_duplicate };
    let candidates: Vec<_> = ranked.iter().map(|one| (one.key.as_slice(), &one.content)).collect();
    let choices = choose(&candidates, |content| content, &limits);
    drop(candidates);
    for (candidate, choice) in ranked.iter_mut().zip(&choices) {
        candidate.fate = Fate::Ranked(*choice);
    }
    choices.iter().filter(|choice| **choice == Choice::Kept).count()
}

/// Separates the results from the other candidates, and adds their neighbours.
fn outcome(request: Request, ranked: Vec<ChunkCandidate>, timings: Timings) -> Outcome {
    let is_kept = |candidate: &ChunkCandidate| candidate.fate == Fate::Ranked(Choice::Kept);
    let (found, others): (Vec<_>, Vec<_>) = ranked.into_iter().partition(is_kept);
    let options = &request.options;
    let passages = (options.expand > 0).then(|| passages::around(&request, &found));
    let neighbours = match &passages {
        Some(passages) if options.quotes => passages::neighbours(&request, &found, passages),
        _ => Vec::new(),
    };
    let Request { resolved, loading, embedding: question, .. } = request;
    let Resolved { collection, generation, .. } = resolved;
    Outcome {
        collection,
        generation,
        found,
        others,
        passages,
        neighbours,
        loading,
        timings,
        question,
    }
}
