//! Searches a collection in five steps:
//!
//! 1. *prepare* a [`Request`]: who asks what of which generation, and a [`Strategy`];
//! 2. the *legs* find chunks: the nearest by a [dense](statement::dense) statement, the best by BM25 by the [`lexical`] leg;
//! 3. both are *fused* by reciprocal ranks;
//! 4. the candidates are *fetched* once, by chunk id, as far as the caller may see them;
//! 5. their scores *rank* them, and the best are returned, with the [`passages`] around them.
//!
//! A strategy that finds too few is followed by another. Everything runs in the caller's snapshot. Statements run with the caller's
//! rights, and they alone decide what the caller sees.

pub mod explain;
pub mod lexical;
pub mod passages;
pub mod request;
pub mod shard;
pub mod strategy;
pub mod term_statistics;
pub mod visibility;
use crate::catalog::collection::{Collection, Generation};
use crate::catalog::inverted::damaged;
use crate::search::access_path::AccessPath;
use crate::search::candidate::{ChunkCandidate, Fate};
use crate::search::engine::explain::{DEGRADED, INCOMPLETE};
use crate::search::engine::lexical::LexicalLeg;
use crate::search::engine::request::Request;
use crate::search::engine::strategy::{Phrases, Strategy, Verdict};
use crate::search::engine::term_statistics::TermStatistics;
use crate::search::loading::Loading;
use crate::search::options::{MAX_CANDIDATES, Options};
use crate::search::resolve::Resolved;
use crate::search::statement::{self, DenseScan, all_of, search_settings};
use crate::sys::plan;
use crate::sys::plan::scans;
use crate::sys::rights::key_text_settings;
use crate::sys::rows::required;
use crate::sys::statement::is_news;
use crate::sys::text_search::tsquery;
use pgrx::datum::DatumWithOid;
use rag::Result;
use rag::model::Embedding;
use rag::search::calibration::OfScript;
use rag::search::diverse::{Choice, Limits, choose};
use rag::search::fusion::{Fused, fuse, fused_with_ties};
use rag::search::passage::Passage;
use rag::search::weights::SignalWeights;
use std::time::{Duration, Instant};

/// The relevance of what is as likely relevant as not.
const EVEN: f64 = 0.5;

/// Candidates that are fetched beyond those wanted, in case some of their documents are gone.
const SPARE: usize = 20;

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
    /// Whether better chunks may have been missed, of which a NOTICE told.
    pub is_degraded: bool,
    pub timings: Timings,
    /// The question's embedding, see [`Request`].
    pub question: Option<Embedding>,
    /// What is known of questions in its script.
    pub known: Option<OfScript>,
}

impl Outcome {
    /// Whether the collection answers nothing of the kind, as far as its words tell: only asked where the model's signals tell nothing.
    pub fn is_foreign_to_question(&self) -> bool {
        let has_words_alone = self.known.is_some_and(|known| !known.is_model_judge());
        has_words_alone && self.found.iter().all(|found| found.relevance < EVEN)
    }

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
    for (applies, notice) in [(run.is_incomplete, INCOMPLETE), (run.lexical.is_degraded, DEGRADED)]
    {
        if applies && is_news(notice) {
            pgrx::notice!("{notice}");
        }
    }
    let mut outcome = outcome(request, candidates, Timings { embed, ..timings });
    outcome.is_degraded = run.is_degraded();
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
        let mut run = Run::generate(request, depth, wanted)
            .map_err(|error| damaged(&request.resolved.generation, error))?;
        timings.candidates += started.elapsed();
        let started = Instant::now();
        let mut candidates = std::mem::take(&mut run.candidates);
        request.rank(&mut candidates, &run.weights(request))?;
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

/// The candidates of a search, before they are scored, and the statistics that their BM25 is by.
pub fn candidates(request: &Request) -> Result<(Vec<ChunkCandidate>, Option<TermStatistics>)> {
    let options = &request.options;
    let run = Run::generate(request, options.depth, options.candidates)
        .map_err(|error| damaged(&request.resolved.generation, error))?;
    Ok((run.candidates, run.lexical.statistics))
}

/// Candidates that a strategy generated.
pub struct Run {
    pub strategy: Strategy,
    pub lexical: LexicalLeg,
    /// What the dense leg found, with its distances.
    dense: Vec<(f64, i64)>,
    /// What both legs found, in order of reciprocal ranks.
    fused: Vec<Fused>,
    /// Those of the best of these that the caller may see, in the same order.
    pub candidates: Vec<ChunkCandidate>,
    /// How many of the best the caller may see.
    pub found: usize,
    /// How many of the best were asked for.
    pub fetched: usize,
    /// Whether the vector index may have missed chunks.
    pub is_incomplete: bool,
}

impl Run {
    /// Generates up to `wanted` candidates from legs of `depth` ranks: by one strategy after the other, until one finds enough or nothing
    /// is left to try.
    fn generate(request: &Request, depth: usize, wanted: usize) -> Result<Self> {
        let mut strategy = Strategy::first(request, Phrases::Required, depth, wanted)?;
        loop {
            let mut run = Self::new(request, strategy)?;
            strategy = match run.strategy.judge(request, &run)? {
                Verdict::Retry(next) => next,
                Verdict::Enough => return Ok(run),
                Verdict::Incomplete => {
                    run.is_incomplete = true;
                    return Ok(run);
                }
            }
        }
    }

    fn new(request: &Request, strategy: Strategy) -> Result<Self> {
        let mut run = Self::of_legs(request, strategy)?;
        let wanted = fused_with_ties(&run.fused, run.strategy.wanted);
        (run.candidates, run.fetched) = run.fetch(request, wanted);
        run.found = run.candidates.len();
        Ok(run)
    }

    /// What the legs find, before it is fetched.
    fn of_legs(request: &Request, mut strategy: Strategy) -> Result<Self> {
        let dense = nearest(request, &strategy);
        let lexical = lexical::leg(request, &mut strategy)?;
        let SignalWeights { dense: of_dense, lexical: of_lexical, .. } = request.weights;
        let nearest: Vec<(i64, f64)> =
            dense.iter().map(|(distance, chunk_id)| (*chunk_id, *distance)).collect();
        let fused = fuse((of_dense, &nearest), (of_lexical, &lexical.ranked()));
        let (candidates, found, fetched, is_incomplete) = (Vec::new(), 0, 0, false);
        Ok(Self { strategy, lexical, dense, fused, candidates, found, fetched, is_incomplete })
    }

    /// The best of the fused chunks that filter and source let pass, up to `limit`, and of how many.
    pub fn fetch(&self, request: &Request, limit: usize) -> (Vec<ChunkCandidate>, usize) {
        let asked = &self.fused[..self.fused.len().min(limit + SPARE)];
        if asked.is_empty() {
            return (Vec::new(), 0);
        }
        let ids: Vec<i64> = asked.iter().map(|one| one.chunk_id).collect();
        let statistics = self.lexical.statistics.as_ref();
        let mut candidates = chunks_of(request, ids, limit, self.strategy.depth, statistics);
        let mut ranks = asked.iter();
        for candidate in &mut candidates {
            let of_it = ranks.find(|ranks| ranks.chunk_id == candidate.chunk_id);
            candidate.ranks = *of_it.expect("fetched in the order of the fusion");
        }
        (candidates, asked.len())
    }

    /// Weights of the signals for the candidates' order.
    pub fn weights(&self, request: &Request) -> SignalWeights {
        let statistics = self.lexical.statistics.as_ref();
        weights_for(request.weights, &request.question.lexemes, statistics)
    }

    /// Whether the vector index may have stopped early with matching chunks unseen: it was scanned, and the lexical leg does not
    /// know each chunk with the phrases that are required. A chunk that need not have any word of the question is one that only the
    /// dense leg can find.
    pub fn may_have_missed(&self, request: &Request) -> bool {
        let has_phrases =
            self.strategy.phrases == Phrases::Required && request.question.has_phrases;
        let are_known = has_phrases && self.lexical.is_exhaustive;
        !are_known && self.dense_access(request).iter().any(AccessPath::is_vector_index)
    }

    /// How the plan of the statement that ran reads the dense leg's chunks; nothing where they were compared as they were listed.
    pub fn dense_access(&self, request: &Request) -> Vec<AccessPath> {
        if self.strategy.distances().is_some() {
            return Vec::new();
        }
        let statement = dense_statement(request, &self.strategy);
        statement
            .map_or_else(Vec::new, |(sql, arguments)| AccessPath::of(&scans::of(&sql, &arguments)))
    }

    /// Whether better chunks than the candidates may exist.
    pub fn is_degraded(&self) -> bool {
        self.is_incomplete || self.lexical.is_degraded
    }
}

/// Of chunks, in their order, the first so many that the caller may see and the filter lets pass, with BM25 by these statistics.
fn chunks_of(
    request: &Request,
    chunks: Vec<i64>,
    limit: usize,
    depth: usize,
    statistics: Option<&TermStatistics>,
) -> Vec<ChunkCandidate> {
    let Request { resolved, options, question, .. } = request;
    let with_bits = options.rerank && request.has_token_vectors();
    let sql = statement::fetch(resolved, &request.visible_sql(), with_bits);
    let arguments = request.arguments(|own| {
        own[0] = request.vector();
        own[1] = (limit as i64).into();
        own[3] = chunks.into();
    });
    let _settings = search_settings(depth, &resolved.generation);
    let keys = resolved.collection.keys.len();
    let mut key_text = None;
    let mut candidates = plan::read_as_caller(&sql, &arguments, |row| {
        // Policies have run under the caller's settings; keys come out the same whatever those are.
        key_text.get_or_insert_with(key_text_settings);
        ChunkCandidate::read(row, keys)
    });
    let weights = statistics.map(|known| known.weights(&question.lexemes));
    for candidate in &mut candidates {
        if let Some(weights) = &weights {
            let bm25 = weights.score(candidate.lexemes.as_tsvector().lexemes());
            candidate.set_bm25(bm25, weights);
        }
    }
    candidates
}

/// Weights of the signals for a question with these lexemes.
pub fn weights_for(
    weights: SignalWeights,
    lexemes: &[String],
    statistics: Option<&TermStatistics>,
) -> SignalWeights {
    let Some(known) = statistics else { return weights };
    let idf = known.idf();
    weights.for_lexemes(lexemes.iter().map(String::as_str).zip(idf.iter().copied()))
}

/// The dense leg: the chunks nearest to the question with their distances, nearest first.
fn nearest(request: &Request, strategy: &Strategy) -> Vec<(f64, i64)> {
    let order = |a: &(f64, i64), b: &(f64, i64)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    let mut found: Vec<(f64, i64)> = if let Some(distances) = strategy.distances() {
        let mut all: Vec<_> = distances.collect();
        if all.len() > strategy.depth {
            all.select_nth_unstable_by(strategy.depth, order);
            all.truncate(strategy.depth);
        }
        all
    } else if let Some((sql, arguments)) = dense_statement(request, strategy) {
        let _settings = search_settings(strategy.depth, &request.resolved.generation);
        plan::read_as_caller(&sql, &arguments, |row| (required(row, 2), required(row, 1)))
    } else {
        return Vec::new();
    };
    // An iterative index scan returns them in about that order.
    found.sort_by(order);
    found
}

/// Its statement with its arguments; `None` where there is no vector to compare with.
fn dense_statement(
    request: &Request,
    strategy: &Strategy,
) -> Option<(String, Vec<DatumWithOid<'static>>)> {
    let allow_list = strategy.allow_list().map(|list| list.chunks().to_vec());
    if !request.has_dense_leg() || allow_list.as_ref().is_some_and(Vec::is_empty) {
        return None;
    }
    let must_match = strategy.must_match(request);
    let Resolved { collection, tables, .. } = &request.resolved;
    let visible = collection.source_visible_where("c", request.filter.sql());
    let conditions = all_of([
        must_match.map(|_| "c.lexemes OPERATOR(pg_catalog.@@) $3"),
        strategy.checks_early().then_some(visible.as_str()),
    ]);
    let scan = match allow_list {
        Some(_) => DenseScan::Listed,
        None => DenseScan::Index(&conditions),
    };
    let arguments = request.arguments(|own| {
        own[0] = request.vector();
        own[1] = (strategy.depth as i64).into();
        own[2] = tsquery(must_match);
        own[3] = allow_list.into();
    });
    Some((statement::dense(tables, scan, strategy.depth), arguments))
}

/// Decides the fate of each candidate; returns how many are kept.
pub fn decide(options: &Options, ranked: &mut [ChunkCandidate]) -> usize {
    let Options { top_k, per_document, near_duplicate, min_relevance, .. } = *options;
    let limits = Limits { top_k, per_document, near_duplicate };
    let is_relevant =
        |one: &ChunkCandidate| min_relevance.is_none_or(|least| one.relevance >= least);
    let candidates: Vec<_> = ranked
        .iter()
        .filter(|one| is_relevant(one))
        .map(|one| (one.key.as_slice(), &one.content))
        .collect();
    let choices = choose(&candidates, |content| content, &limits);
    drop(candidates);
    let mut chosen = choices.iter();
    for candidate in ranked {
        let choice = if is_relevant(candidate) { chosen.next() } else { None };
        candidate.fate = choice.map_or(Fate::Irrelevant, |choice| Fate::Ranked(*choice));
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
    let Request { resolved, loading, embedding: question, known, .. } = request;
    let Resolved { collection, generation, .. } = resolved;
    Outcome {
        collection,
        generation,
        found,
        others,
        passages,
        neighbours,
        loading,
        is_degraded: false,
        timings,
        question,
        known,
    }
}
