//! Term statistics: how many chunks hold each of the question's lexemes, and how long chunks are. Under row security they come from
//! nothing but what the caller may see.
use crate::search::engine::request::{QuestionTerms, Request};
use crate::search::engine::strategy::{AllowList, ChunkAccess, MAX_COMPARED, Strategy};
use crate::search::engine::visibility::{Detail, Listing, Passing, sample, visible_of};
use crate::sys::{interrupt, relation_size};
use rag::Result;
use rag::search::exact_scan::most_compared;
use rag::search::sample::scrambled;
use rag::search::shard::Statistics;
use rag::search::{Bm25, Weights};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Chunks of a sample, and of larger ones where hardly any of them are visible.
const SAMPLES: [usize; 3] = [192, 768, 3_600];
/// How many visible ones are enough: the number of visible chunks then has a standard error of a sixth at the most.
const ENOUGH_VISIBLE: usize = 36;
/// Most chunks of a collection whose policy, which the planner cannot estimate, is asked of each to count those that pass.
const MAX_GONE_THROUGH: f64 = 100_000.0;
/// Most chunks that may pass then, by the sample.
const FEW: f64 = 2_000.0;
/// A lexeme that fewer chunks of the sample hold is rare.
const RARE: f64 = 16.0;
/// The square of the standard error that the share of chunks with a lexeme is to have, and visible chunks with a rare lexeme that are enough
/// for that, at the most.
const WANTED_VARIANCE: f64 = 0.23 * 0.23;
const ENOUGH_HOLDING: usize = 32;
/// Most chunks with a rare lexeme that are checked at once.
const MAX_CHECKED: usize = 16_384;
/// Longest list of chunks that pass, where that is shorter than what else would be checked.
pub const MAX_LISTED: usize = 4_000_000;

/// What BM25 needs to know of a collection.
#[derive(Debug, Clone)]
pub struct TermStatistics {
    /// Share of the chunks that filter and policies let pass.
    pub share: f64,
    /// Chunks that the statistics are of.
    pub documents: f64,
    /// Their mean length, in lexemes.
    pub average_length: f64,
    /// Of these chunks, how many hold each of the question's lexemes.
    pub frequencies: Vec<f64>,
    /// Of how many visible chunks of a sample the number of chunks comes.
    sampled: f64,
    /// All chunks that filter and policies let pass, where estimating took to list them.
    pub passing: Option<Rc<Passing>>,
}

/// Estimated statistics.
pub struct Estimate {
    /// What chunks had to match, and the share of them that was known to pass at least.
    of: (Option<String>, f64),
    statistics: TermStatistics,
}

impl TermStatistics {
    /// Without row security: of all chunks, by the inverted file. Under row security: of the chunks that filter and policies let pass,
    /// counted if the strategy has listed them, else by a sample.
    pub fn of(request: &Request, strategy: &Strategy, terms: &QuestionTerms<'_>) -> Result<Self> {
        let share = match &strategy.access {
            ChunkAccess::Indexes { selectivity, .. } => selectivity.expected,
            ChunkAccess::CompareAll(_) => 1.0,
        };
        if let Some(given) = &request.statistics {
            let numbers = given.frequencies.iter().copied();
            return Ok(Self::counted(share, given.chunks, given.length, numbers));
        }
        if !request.has_policies {
            let known = terms.statistics();
            let numbers = known.frequencies.iter().map(|n| *n as f64);
            return Ok(Self::counted(share, known.chunks as f64, known.length as f64, numbers));
        }
        match &strategy.access {
            ChunkAccess::CompareAll(list) if let AllowList::Passing(passing) = &**list => {
                Self::of_passing(share, passing, terms)
            }
            ChunkAccess::Indexes { selectivity, .. } => {
                Self::estimated_once(request, strategy, terms, selectivity.at_least)
            }
            ChunkAccess::CompareAll(_) => Self::estimated_once(request, strategy, terms, 0.0),
        }
    }

    /// The estimate of an earlier run of the request, if it is of the same chunks.
    fn estimated_once(
        request: &Request,
        strategy: &Strategy,
        terms: &QuestionTerms<'_>,
        at_least: f64,
    ) -> Result<Self> {
        let of = (strategy.must_match(request).map(str::to_owned), at_least);
        if let Some(known) = request.estimated.borrow().as_ref().filter(|known| known.of == of) {
            return Ok(known.statistics.clone());
        }
        let statistics = Self::estimated(request, strategy, terms, at_least)?;
        let known = Estimate { of, statistics: statistics.clone() };
        *request.estimated.borrow_mut() = Some(known);
        Ok(statistics)
    }

    /// Of chunks that are listed.
    fn of_passing(share: f64, passing: &Passing, terms: &QuestionTerms<'_>) -> Result<Self> {
        let chunks = &passing.chunks;
        let holding = terms.frequencies_among(chunks, &mut interrupt::checkpoint)?;
        let numbers = holding.iter().map(|n| *n as f64);
        Ok(Self::counted(share, chunks.len() as f64, passing.length, numbers))
    }

    /// Those of parts of a collection, added up.
    pub fn of_parts(statistics: &Statistics) -> Self {
        let numbers = statistics.frequencies.iter().copied();
        Self::counted(1.0, statistics.chunks, statistics.length, numbers)
    }

    /// As a part of a collection that is searched as a whole.
    pub fn of_part(&self) -> Statistics {
        Statistics {
            chunks: self.documents,
            length: self.documents * self.average_length,
            frequencies: self.frequencies.clone(),
        }
    }

    fn counted(
        share: f64,
        documents: f64,
        length: f64,
        frequencies: impl Iterator<Item = f64>,
    ) -> Self {
        let average_length = length / documents.max(1.0);
        let frequencies = frequencies.collect();
        Self { share, documents, average_length, frequencies, sampled: 0.0, passing: None }
    }

    /// By a sample of the chunks that are visible and pass the filter, whose share is `at_least`; of lexemes that are rare there, by the
    /// chunks that hold them. Where the sample says that few pass, against what the planner expects, they are listed and counted.
    fn estimated(
        request: &Request,
        strategy: &Strategy,
        terms: &QuestionTerms<'_>,
        at_least: f64,
    ) -> Result<Self> {
        let rows = relation_size::rows(request.resolved.generation.chunks);
        let lexemes = &request.question.lexemes;
        let (mut sampled, mut visible) = (0.0, Vec::new());
        for count in SAMPLES {
            if visible.len() < ENOUGH_VISIBLE && sampled < rows {
                sampled = rows.min(count as f64);
                visible = sample(request, count);
            }
        }
        let share = (visible.len() as f64 / sampled).max(at_least).clamp(1.0 / rows, 1.0);
        let documents = rows * share;
        let few = FEW.min(most_compared(rows, strategy.depth));
        let are_few = documents <= few && rows <= MAX_GONE_THROUGH;
        if are_few || visible.len() < ENOUGH_VISIBLE {
            let must_match = strategy.must_match(request);
            let listing =
                Listing::find(request, must_match, MAX_COMPARED, Detail::Length, |_| true);
            if let Some(passing) = listing.passing {
                let statistics = Self::of_passing(share, &passing, terms)?;
                return Ok(Self { passing: Some(Rc::new(passing)), ..statistics });
            }
        }
        let positions = lexemes.iter().enumerate();
        let positions: HashMap<&[u8], usize> =
            positions.map(|(position, lexeme)| (lexeme.as_bytes(), position)).collect();
        let (mut holding, mut length) = (vec![0.0_f64; lexemes.len()], 0.0);
        for chunk in &visible {
            for (lexeme, occurrences) in chunk.as_tsvector().lexemes() {
                length += occurrences as f64;
                if let Some(position) = positions.get(lexeme) {
                    holding[*position] += 1.0;
                }
            }
        }
        let sampled_chunks = visible.len().max(1) as f64;
        let frequency = |holding: &f64| (holding / sampled_chunks).min(1.0) * documents;
        let mut statistics = Self {
            share,
            documents,
            average_length: length / sampled_chunks,
            frequencies: holding.iter().map(frequency).collect(),
            sampled: sampled_chunks,
            passing: None,
        };
        let rare = (0..lexemes.len()).filter(|position| holding[*position] < RARE).collect();
        statistics.estimate_rare(request, strategy, terms, rare)?;
        Ok(statistics)
    }

    /// Visible chunks with a rare lexeme that are enough: 1 / (k - 2) is the variance of an estimate by k of them (see below), and that of
    /// the number of chunks, by v of a sample, is at most 1 / v.
    fn enough_holding(&self) -> usize {
        let left = WANTED_VARIANCE - 1.0 / self.sampled;
        let enough = if left > 0.0 { (2.0 + 1.0 / left).ceil() as usize } else { usize::MAX };
        enough.min(ENOUGH_HOLDING)
    }

    /// Counts the visible chunks with each of these lexemes if there are few. Of others, those [few](Self::enough_holding) that come first in the order of a hash of their ids tell
    /// how many there are: the k-th smallest of n random numbers from 0 to 1 is about k / n (Bar-Yossef et al., "Counting
    /// distinct elements in a data stream", 2002). Which chunk comes first depends on no other, so that hidden ones change nothing.
    fn estimate_rare(
        &mut self,
        request: &Request,
        strategy: &Strategy,
        terms: &QuestionTerms<'_>,
        rare: Vec<usize>,
    ) -> Result<()> {
        let enough = self.enough_holding();
        let mut lists = Vec::with_capacity(rare.len());
        for position in rare {
            lists.push(RareLexeme::find(terms, position, enough)?);
        }
        let (mut passing_share, mut may_list, mut seen, mut visible) = (self.share, true, 0, 0);
        let mut is_first = !lists.is_empty();
        while is_first || lists.iter().any(RareLexeme::is_open) {
            interrupt::checkpoint()?;
            let (wanted, asked) = next_of(&mut lists, passing_share, is_first);
            is_first = false;
            let passed: HashSet<i64> = match &self.passing {
                Some(passing) => {
                    let passes = |chunk: &i64| passing.chunks.binary_search(chunk).is_ok();
                    asked.iter().copied().filter(passes).collect()
                }
                None => visible_of(request, None, &asked, Some(wanted)).into_iter().collect(),
            };
            (seen, visible) = (seen + asked.len(), visible + passed.len());
            for list in &mut lists {
                list.look_at(&passed);
            }
            passing_share = passing_share.min((visible as f64).max(0.5) / seen.max(1) as f64);
            let left: f64 = lists.iter().map(|list| list.expected(passing_share)).sum();
            if may_list && left > self.documents && self.documents <= MAX_LISTED as f64 {
                may_list = false;
                let must_match = strategy.must_match(request);
                let listing =
                    Listing::find(request, must_match, MAX_LISTED, Detail::Length, |_| true);
                self.passing = listing.passing.map(Rc::new);
                if self.passing.is_some() {
                    passing_share = 1.0 / MAX_CHECKED as f64;
                }
            }
        }
        for list in lists {
            self.frequencies[list.position] = list.frequency().min(self.documents);
        }
        Ok(())
    }

    /// BM25 by these statistics.
    pub fn bm25(&self) -> Bm25 {
        Bm25::new(self.documents, self.average_length)
    }

    /// The weight of each lexeme.
    pub fn idf(&self) -> Vec<f64> {
        let bm25 = self.bm25();
        self.frequencies.iter().map(|frequency| bm25.idf(*frequency)).collect()
    }

    /// What the score of a chunk needs besides its own lexemes.
    pub fn weights<'a>(&self, lexemes: &'a [String]) -> Weights<'a> {
        Weights::new(self.bm25(), lexemes.iter().map(String::as_str).zip(self.idf()))
    }
}

/// The chunks that are looked at next, and how many are asked for, which depends on nothing hidden. Where one list ends early, another goes on.
fn next_of(lists: &mut [RareLexeme], rate: f64, is_first: bool) -> (usize, Vec<i64>) {
    let takes_part = |list: &&mut RareLexeme| is_first || list.is_open();
    let wanted = lists.iter_mut().filter(takes_part).map(|list| list.wanted(rate)).sum();
    let mut asked = HashSet::new();
    for list in lists.iter_mut().filter(|list| list.is_open()) {
        asked.extend(list.take(list.wanted(rate)));
    }
    let mut spare = wanted - asked.len();
    for list in lists.iter_mut().filter(|list| list.is_open()) {
        let before = asked.len();
        asked.extend(list.take(spare));
        spare -= asked.len() - before;
    }
    (wanted, asked.into_iter().collect())
}

/// The chunks that hold a rare lexeme, visible or not.
struct RareLexeme {
    /// Of the question's lexemes.
    position: usize,
    chunks: Vec<i64>,
    /// How many visible ones are enough.
    enough: usize,
    /// The first so many are in the order of their hashes, and before all others.
    ordered: usize,
    /// How many have been looked at, and how many will be when it is known which of them are visible.
    seen: usize,
    taken: usize,
    /// How many of those looked at are visible, and the last one that counts.
    visible: usize,
    last: i64,
}

impl RareLexeme {
    fn find(terms: &QuestionTerms<'_>, position: usize, enough: usize) -> Result<Self> {
        let of_it = position..position + 1;
        let holding = terms.holding(of_it, usize::MAX, &mut interrupt::checkpoint)?;
        let chunks = holding.unwrap_or_default();
        Ok(Self { position, chunks, enough, ordered: 0, seen: 0, taken: 0, visible: 0, last: 0 })
    }

    fn is_open(&self) -> bool {
        self.visible < self.enough && self.seen < self.chunks.len()
    }

    /// How many are still to be looked at, where this share of chunks is visible and there are so many.
    fn missing(&self, rate: f64) -> f64 {
        self.enough.saturating_sub(self.visible) as f64 / rate
    }

    /// How many are still to be looked at.
    fn expected(&self, rate: f64) -> f64 {
        self.missing(rate).min((self.chunks.len() - self.seen) as f64)
    }

    /// How many are looked at next, if there are so many.
    fn wanted(&self, rate: f64) -> usize {
        ((self.missing(rate) * 1.25).ceil() as usize).clamp(self.enough, MAX_CHECKED)
    }

    /// The next chunks, up to so many.
    fn take(&mut self, count: usize) -> &[i64] {
        let hash = |chunk: &i64| scrambled(chunk.cast_unsigned());
        let start = self.taken;
        self.taken = self.chunks.len().min(start + count);
        if self.taken > self.ordered {
            let rest = &mut self.chunks[self.ordered..];
            let next = self.taken - self.ordered;
            if next < rest.len() {
                rest.select_nth_unstable_by_key(next - 1, hash);
            }
            rest[..next].sort_unstable_by_key(hash);
            self.ordered = self.taken;
        }
        &self.chunks[start..self.taken]
    }

    /// Counts those of the chunks taken that have passed.
    fn look_at(&mut self, passed: &HashSet<i64>) {
        for &chunk in &self.chunks[self.seen..self.taken] {
            if self.visible < self.enough && passed.contains(&chunk) {
                self.visible += 1;
                self.last = chunk;
            }
        }
        self.seen = self.taken;
    }

    /// About how many visible chunks hold the lexeme; all are counted if there are few.
    fn frequency(&self) -> f64 {
        if self.visible < self.enough {
            return self.visible as f64;
        }
        let place = scrambled(self.last.cast_unsigned()) as f64 / u64::MAX as f64;
        (self.enough - 1) as f64 / place.max(f64::MIN_POSITIVE)
    }
}
