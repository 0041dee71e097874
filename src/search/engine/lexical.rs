//! The lexical leg: the visible chunks that score best by BM25.
//!
//! The inverted file holds all chunks and is read as no role. It returns chunks in order of their scores; a statement of the caller's
//! own returns those of them that are visible, batch by batch, until there are enough or none is left. Hidden rows cost time, never
//! results.
use crate::catalog::lexical::{Access, LexicalIndex};
use crate::search::engine::request::{QuestionTerms, Request};
use crate::search::engine::strategy::{LexicalChoice, Strategy};
use crate::search::engine::term_statistics::{MAX_LISTED, TermStatistics};
use crate::search::engine::visibility::{Detail, Listing, visible_of};
use crate::search::options::MAX_CANDIDATES;
use crate::sys::guc::search::search_budget;
use crate::sys::{interrupt, relation_size};
use rag::Result;
use rag::inverted::{Found, Scored, TopK};
use rag::search::any_of;
use rag::search::fusion::{MAX_TIES, with_ties};

/// Most candidates of the first batch, and of later ones.
const MAX_BATCH: [usize; 2] = [4_096, 65_536];
/// How many more candidates a batch has than the share of those that pass makes it need.
const OVERFETCH: f64 = 1.15;
/// Candidates that another extension's index is asked for beyond those wanted, in case some of their documents are gone.
const SPARE: usize = 20;

/// What the lexical leg found.
#[derive(Debug, Default)]
pub struct LexicalLeg {
    /// Visible chunks, best first. Only where source and filter are checked late some may be gone.
    pub chunks: Vec<i64>,
    /// BM25 of each, except where another extension's index found them.
    pub scores: Vec<f64>,
    /// By what they are ranked; `None` where the leg did not run.
    pub statistics: Option<TermStatistics>,
    /// Whether no other visible chunk holds any term and matches.
    pub is_exhaustive: bool,
    /// Whether the budget ended the search before it had the best.
    pub is_degraded: bool,
    /// Whether another extension's index found the chunks.
    pub is_foreign: bool,
    /// What was searched for, for `rag_explain`.
    pub description: Option<String>,
}

impl LexicalLeg {
    /// Its chunks with what they are ranked by: where another extension's index found them, with their places.
    pub fn ranked(&self) -> Vec<(i64, f64)> {
        let places = (0..self.chunks.len()).map(|place| place as f64);
        let values: Vec<f64> = if self.is_foreign { places.collect() } else { self.scores.clone() };
        self.chunks.iter().copied().zip(values).collect()
    }
}

/// Runs the leg of a strategy, which it changes where another extension's index will not do.
pub fn leg(request: &Request, strategy: &mut Strategy) -> Result<LexicalLeg> {
    if !request.has_lexical_leg() {
        return Ok(LexicalLeg::default());
    }
    let terms = request.terms()?;
    let statistics = TermStatistics::of(request, strategy, &terms)?;
    if let (LexicalChoice::Foreign, Access::Index(index)) =
        (strategy.lexical, &request.foreign_index)
    {
        match foreign_leg(request, strategy, index) {
            Ok(leg) => return Ok(LexicalLeg { statistics: Some(statistics), ..leg }),
            Err(reason) => strategy.lexical = LexicalChoice::Builtin(Some(reason)),
        }
    }
    TermSearch { request, strategy, terms, idf: statistics.idf(), statistics, postings: 0 }.leg()
}

/// What another extension's index finds, which knows neither filter nor phrases nor deleted rows. An error says why it will not do.
fn foreign_leg(
    request: &Request,
    strategy: &Strategy,
    index: &LexicalIndex,
) -> Result<LexicalLeg, &'static str> {
    let must_match = strategy.must_match(request);
    let is_filtered = request.filter.sql().is_some() || must_match.is_some();
    let asked = strategy.depth.max(if is_filtered { MAX_CANDIDATES } else { 0 }) + SPARE;
    let lexemes = &request.question.lexemes;
    let best =
        index.best(lexemes.iter().map(String::as_str), asked, &request.resolved.tables.chunks);
    let count = best.len();
    if count == 0 {
        return Err("it found nothing");
    }
    let terms = any_of(lexemes);
    let all: Vec<String> = terms
        .iter()
        .map(|terms| format!("({terms})"))
        .chain(must_match.map(str::to_owned))
        .collect();
    let mut chunks = visible_of(request, Some(&all.join(" & ")), &best, None);
    if count == asked && chunks.len() < strategy.depth {
        return Err("too few of its best pass filter and phrases");
    }
    chunks.truncate(strategy.depth);
    let description = Some(format!("its best {count}"));
    Ok(LexicalLeg { chunks, is_foreign: true, description, ..LexicalLeg::default() })
}

/// The leg by the inverted file.
struct TermSearch<'a> {
    request: &'a Request,
    strategy: &'a Strategy,
    terms: QuestionTerms<'a>,
    statistics: TermStatistics,
    idf: Vec<f64>,
    /// Postings scored so far.
    postings: u64,
}

impl TermSearch<'_> {
    fn leg(mut self) -> Result<LexicalLeg> {
        let depth = self.strategy.depth;
        let wanted = depth + MAX_TIES;
        let must_match = self.strategy.must_match(self.request);
        let mut leg = LexicalLeg::default();
        let mut best = match self.strategy.allow_list() {
            Some(list) => self.best(wanted, Some(list.chunks()), None, &mut leg)?,
            None if must_match.is_none()
                && !self.request.is_restricted()
                && !self.strategy.checks_early() =>
            {
                self.best(wanted, None, None, &mut leg)?
            }
            None => self.best_visible(wanted, &mut leg)?,
        };
        best.truncate(with_ties(&best, depth, |a, b| a.score.total_cmp(&b.score).is_eq()));
        leg.scores = best.iter().map(|scored| scored.score).collect();
        leg.chunks = best.into_iter().map(|scored| scored.chunk).collect();
        let lexemes = any_of(&self.request.question.lexemes);
        leg.description = lexemes.map(|lexemes| format!("the best {depth} by BM25 of {lexemes}"));
        leg.statistics = Some(self.statistics);
        Ok(leg)
    }

    /// The best `k` chunks, of those in `among` if given, behind `after`.
    fn best(
        &mut self,
        k: usize,
        among: Option<&[i64]>,
        after: Option<Scored>,
        leg: &mut LexicalLeg,
    ) -> Result<Vec<Scored>> {
        // Under row security a budget would tell how many hidden rows hold the words.
        let budget = if self.request.has_policies {
            u64::MAX
        } else {
            search_budget().saturating_sub(self.postings)
        };
        let bm25 = self.statistics.bm25();
        let query = TopK { idf: &self.idf, bm25, k, among, after, budget };
        let Found { best, work, is_complete } =
            self.terms.top_k(&query, &mut interrupt::checkpoint)?;
        self.postings += work.postings;
        leg.is_degraded = !is_complete;
        leg.is_exhaustive = is_complete && best.len() < k;
        Ok(best)
    }

    /// The best visible chunks: goes through candidates in batches. Where most of them turn out not to pass, it lists what passes and takes
    /// candidates from there.
    fn best_visible(&mut self, wanted: usize, leg: &mut LexicalLeg) -> Result<Vec<Scored>> {
        let request = self.request;
        let must_match = self.strategy.must_match(request);
        let rows = relation_size::rows(request.resolved.generation.chunks);
        let passing = self.statistics.share * rows;
        let mut may_list = request.is_restricted() && passing <= MAX_LISTED as f64;
        let listed = self.statistics.passing.take();
        let mut among = listed.map(|passing| passing.matching.clone());
        may_list &= among.is_none();
        let (mut visible, mut after, mut seen, mut share) =
            (Vec::new(), None, 0, self.statistics.share);
        while visible.len() < wanted {
            interrupt::checkpoint()?;
            let missing = (wanted - visible.len()) as f64;
            let rate = if among.is_none() { share / OVERFETCH } else { 1.0 };
            let bound = MAX_BATCH[usize::from(after.is_some())].max(wanted);
            let count = ((missing / rate).ceil() as usize).clamp(wanted - visible.len(), bound);
            let batch = self.best(count, among.as_deref(), after, leg)?;
            if among.is_some() {
                visible.extend(&batch);
            } else {
                let chunks: Vec<i64> = batch.iter().map(|scored| scored.chunk).collect();
                let passed = visible_of(request, must_match, &chunks, Some(count));
                let mut passed = passed.into_iter().peekable();
                let is_next = |scored: &&Scored| passed.next_if_eq(&scored.chunk).is_some();
                visible.extend(batch.iter().filter(is_next));
            }
            if batch.len() < count {
                break;
            }
            seen += batch.len();
            after = batch.last().copied();
            share = share.min((visible.len() as f64).max(0.5) / seen as f64);
            let missing = wanted.saturating_sub(visible.len()) as f64;
            let needed = missing * seen as f64 / visible.len() as f64;
            if may_list && missing > 0.0 && needed > passing {
                may_list = false;
                let listing =
                    Listing::find(request, must_match, MAX_LISTED, Detail::Length, |_| true);
                among = listing.passing.map(|passing| passing.matching);
            }
        }
        leg.is_exhaustive &= visible.len() <= wanted;
        visible.truncate(wanted);
        Ok(visible)
    }
}
