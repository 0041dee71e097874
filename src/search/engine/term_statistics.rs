//! Term statistics: how many chunks hold each of the question's lexemes, and how long chunks are. Under row security they come from
//! nothing but what the caller may see.
use crate::search::engine::request::{QuestionTerms, Request};
use crate::search::engine::strategy::{
    AllowList, ChunkAccess, MAX_COMPARED, MAX_PREFERRED, Strategy,
};
use crate::search::engine::visibility::{Listing, Passing, sample, visible_of};
use crate::sys::{interrupt, relation_size};
use rag::Result;
use rag::search::sample::scrambled;
use rag::search::{Bm25, Weights};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Chunks of a sample, and of a larger one where hardly any of them are visible.
const SAMPLES: [usize; 2] = [600, 3_600];
/// How many visible ones are enough to estimate frequencies.
const ENOUGH_VISIBLE: usize = 20;
/// Chunks of a collection that is gone through to count the few that an opaque policy lets pass, which is asked of each.
const MAX_GONE_THROUGH: f64 = 100_000.0;
/// A lexeme that fewer chunks of the sample hold is rare.
const RARE: f64 = 16.0;
/// Visible chunks with a rare lexeme that are enough to estimate how many there are.
const ENOUGH_HOLDING: usize = 32;
/// Most chunks with a rare lexeme that are checked at once.
const MAX_CHECKED: usize = 16_384;
/// Longest list of chunks that pass, where that is shorter than what else would be checked.
pub const MAX_LISTED: usize = 4_000_000;

/// What BM25 needs to know of a collection.
#[derive(Debug)]
pub struct TermStatistics {
    /// Share of the chunks that filter and policies let pass.
    pub share: f64,
    /// Chunks that the statistics are of.
    pub documents: f64,
    /// Their mean length, in lexemes.
    pub average_length: f64,
    /// Of these chunks, how many hold each of the question's lexemes.
    pub frequencies: Vec<f64>,
    /// All chunks that filter and policies let pass, where estimating took to list them.
    pub passing: Option<Passing>,
}

impl TermStatistics {
    /// Without row security: of all chunks, by the inverted file. Under row security: of the chunks that filter and policies let pass,
    /// counted if the strategy has listed them, else by a sample.
    pub fn of(request: &Request, strategy: &Strategy, terms: &QuestionTerms<'_>) -> Result<Self> {
        let share = match &strategy.access {
            ChunkAccess::Indexes { selectivity, .. } => selectivity.expected,
            ChunkAccess::CompareAll(_) => 1.0,
        };
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
                Self::estimated(request, strategy, terms, selectivity.at_least)
            }
            ChunkAccess::CompareAll(_) => Self::estimated(request, strategy, terms, 0.0),
        }
    }

    /// Of chunks that are listed.
    fn of_passing(share: f64, passing: &Passing, terms: &QuestionTerms<'_>) -> Result<Self> {
        let chunks = &passing.chunks;
        let holding = terms.frequencies_among(chunks, &mut interrupt::checkpoint)?;
        let numbers = holding.iter().map(|n| *n as f64);
        Ok(Self::counted(share, chunks.len() as f64, passing.length, numbers))
    }

    fn counted(
        share: f64,
        documents: f64,
        length: f64,
        frequencies: impl Iterator<Item = f64>,
    ) -> Self {
        let average_length = length / documents.max(1.0);
        let frequencies = frequencies.collect();
        Self { share, documents, average_length, frequencies, passing: None }
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
        let mut hasher = DefaultHasher::new();
        lexemes.hash(&mut hasher);
        let seed = hasher.finish();
        let (mut sampled, mut visible) = (0.0, Vec::new());
        for count in SAMPLES {
            if visible.len() < ENOUGH_VISIBLE && sampled < rows {
                sampled = rows.min(count as f64);
                visible = sample(request, count, seed);
            }
        }
        let share = (visible.len() as f64 / sampled).max(at_least).clamp(1.0 / rows, 1.0);
        let documents = rows * share;
        let are_few = documents <= MAX_PREFERRED as f64 && rows <= MAX_GONE_THROUGH;
        if are_few || visible.len() < ENOUGH_VISIBLE {
            let must_match = strategy.must_match(request);
            let listing = Listing::find(request, must_match, MAX_COMPARED, |_| true);
            if let Some(passing) = listing.passing {
                let statistics = Self::of_passing(share, &passing, terms)?;
                return Ok(Self { passing: Some(passing), ..statistics });
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
            passing: None,
        };
        let rare = (0..lexemes.len()).filter(|position| holding[*position] < RARE).collect();
        statistics.estimate_rare(request, strategy, rare)?;
        Ok(statistics)
    }

    /// Counts the visible chunks with each of these lexemes if there are few. Of others, the 32 that come first in the order of a hash of their ids tell
    /// how many there are: the k-th smallest of n random numbers from 0 to 1 is about k / n (Bar-Yossef et al., "Counting
    /// distinct elements in a data stream", 2002). Which chunk comes first depends on no other, so that hidden ones change nothing.
    fn estimate_rare(
        &mut self,
        request: &Request,
        strategy: &Strategy,
        rare: Vec<usize>,
    ) -> Result<()> {
        let mut lists = Vec::with_capacity(rare.len());
        for position in rare {
            lists.push(RareLexeme::find(request, position)?);
        }
        let (mut passing_share, mut may_list, mut seen, mut visible) = (self.share, true, 0, 0);
        let mut is_first = !lists.is_empty();
        while is_first || lists.iter().any(RareLexeme::is_open) {
            interrupt::checkpoint()?;
            is_first = false;
            let asked: HashSet<i64> =
                lists.iter().flat_map(|list| list.next(passing_share)).copied().collect();
            let asked: Vec<i64> = asked.into_iter().collect();
            let passed: HashSet<i64> = match &self.passing {
                Some(passing) => {
                    let passes = |chunk: &i64| passing.chunks.binary_search(chunk).is_ok();
                    asked.iter().copied().filter(passes).collect()
                }
                None => visible_of(request, None, &asked).into_iter().collect(),
            };
            (seen, visible) = (seen + asked.len(), visible + passed.len());
            for list in &mut lists {
                list.look_at(passing_share, &passed);
            }
            passing_share = passing_share.min((visible as f64).max(0.5) / seen.max(1) as f64);
            let left: f64 = lists.iter().map(|list| list.expected(passing_share)).sum();
            if may_list && left > self.documents && self.documents <= MAX_LISTED as f64 {
                may_list = false;
                let must_match = strategy.must_match(request);
                self.passing = Listing::find(request, must_match, MAX_LISTED, |_| true).passing;
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

/// The chunks that hold a rare lexeme, visible or not.
struct RareLexeme {
    /// Of the question's lexemes.
    position: usize,
    /// In the order of their hashes.
    chunks: Vec<i64>,
    /// How many of them have been looked at.
    seen: usize,
    /// How many of these are visible, and the last one that counts.
    visible: usize,
    last: i64,
}

impl RareLexeme {
    fn find(request: &Request, position: usize) -> Result<Self> {
        let lexeme = request.question.lexemes[position].as_str();
        let checkpoint = &mut interrupt::checkpoint;
        let terms = request.index()?.terms(&[lexeme], checkpoint)?;
        let mut chunks = terms.holding_all(usize::MAX, checkpoint)?.unwrap_or_default();
        chunks.sort_unstable_by_key(|chunk| scrambled(chunk.cast_unsigned()));
        Ok(Self { position, chunks, seen: 0, visible: 0, last: 0 })
    }

    fn is_open(&self) -> bool {
        self.visible < ENOUGH_HOLDING && self.seen < self.chunks.len()
    }

    /// How many are still to be looked at, where this share of chunks is visible.
    fn expected(&self, rate: f64) -> f64 {
        let missing = ENOUGH_HOLDING.saturating_sub(self.visible) as f64;
        (missing / rate).min((self.chunks.len() - self.seen) as f64)
    }

    /// The chunks that are looked at next.
    fn next(&self, rate: f64) -> &[i64] {
        if !self.is_open() {
            return &[];
        }
        let count = (self.expected(rate) * 1.25).ceil() as usize;
        let end = self.seen + count.clamp(ENOUGH_HOLDING, MAX_CHECKED);
        &self.chunks[self.seen..end.min(self.chunks.len())]
    }

    /// Counts those of the next chunks that have passed.
    fn look_at(&mut self, rate: f64, passed: &HashSet<i64>) {
        let next = self.next(rate).to_vec();
        self.seen += next.len();
        for chunk in next {
            if self.visible < ENOUGH_HOLDING && passed.contains(&chunk) {
                self.visible += 1;
                self.last = chunk;
            }
        }
    }

    /// About how many visible chunks hold the lexeme; all are counted if there are few.
    fn frequency(&self) -> f64 {
        if self.visible < ENOUGH_HOLDING {
            return self.visible as f64;
        }
        let place = scrambled(self.last.cast_unsigned()) as f64 / u64::MAX as f64;
        (ENOUGH_HOLDING - 1) as f64 / place.max(f64::MIN_POSITIVE)
    }
}
