//! The best chunks by BM25, exactly.
use super::search::{Cursor, Deleted, Terms, each_of};
use super::{Checkpoint, Lists, Posting};
use crate::Result;
use crate::search::Bm25;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct TopK<'a> {
    /// Each term's weight, see [`Bm25::idf`].
    pub idf: &'a [f64],
    /// The collection's numbers.
    pub bm25: Bm25,
    /// How many chunks.
    pub k: usize,
    /// Only these chunks; ascending ids.
    pub among: Option<&'a [i64]>,
    /// Only chunks behind this one in the order of results.
    pub after: Option<Scored>,
    /// Most postings looked at; a search that needs more ends with what it has.
    pub budget: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The best chunks, best first.
    pub best: Vec<Scored>,
    /// What was done for it.
    pub work: Work,
    /// Whether there was budget enough: otherwise better chunks may be missing.
    pub is_complete: bool,
}

/// What a search did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Parts of long lists that were read.
    pub parts: u64,
    /// Blocks that were unpacked.
    pub blocks: u64,
    /// Postings looked at.
    pub postings: u64,
}

/// A chunk and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// BM25 over the question's terms, each rounded by [`summand`].
    pub score: f64,
    /// Its id.
    pub chunk: i64,
}

impl Eq for Scored {}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Better is less: a higher score, or the same and a lower id. The worst is on top of a heap.
impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.chunk.cmp(&other.chunk))
    }
}

/// Adding and subtracting it rounds to a multiple of 2^-30: it has 52 bits behind the first, of which 30 are behind the point.
const ROUND: f64 = 1.5 * (1_u64 << 22) as f64;

/// A term's part of a score, rounded to a multiple of 2^-30. Sums of such numbers are exact below 2^23, so that a chunk has the same score
/// in whatever order its terms are added, and sums of bounds bound sums of scores.
pub fn summand(bm25: &Bm25, idf: f64, posting: Posting) -> f64 {
    bm25.score(idf, posting.frequency.into(), posting.length.into()) + ROUND - ROUND
}

impl<L: Lists> Terms<'_, L> {
    /// The chunks with the highest scores, ties by lower id. Deleted ones are left out.
    pub fn top_k(&self, query: &TopK<'_>, checkpoint: Checkpoint<'_>) -> Result<Found> {
        let mut best = Best { query, heap: BinaryHeap::new() };
        let mut deleted = Deleted::new(&self.deletions);
        let mut work = Work::default();
        for looked in &self.live {
            let mut scores: Vec<Scored> = Vec::new();
            for (number, list) in looked.lists.iter().enumerate() {
                let Some(list) = list else { continue };
                let mut add = |posting: Posting| {
                    let score = summand(&query.bm25, query.idf[number], posting);
                    scores.push(Scored { score, chunk: posting.chunk });
                };
                if let Some(among) = query.among {
                    each_of(list, among, checkpoint, |_, posting| add(posting))?;
                } else {
                    let mut cursor = Cursor::new(list);
                    let mut from = i64::MIN;
                    while let Some(chunk) = cursor.seek(from)? {
                        add(cursor.posting());
                        let Some(next) = chunk.checked_add(1) else { break };
                        from = next;
                    }
                }
            }
            work.postings += scores.len() as u64;
            scores.sort_by_key(|scored| scored.chunk);
            for chunk in scores.chunk_by(|a, b| a.chunk == b.chunk) {
                let score = chunk.iter().map(|scored| scored.score).sum();
                let scored = Scored { score, chunk: chunk[0].chunk };
                if best.takes(scored) && !deleted.has(scored.chunk)? {
                    best.add(scored);
                }
            }
        }
        Ok(Found { best: best.heap.into_sorted_vec(), work, is_complete: true })
    }
}

/// The best chunks so far.
struct Best<'q> {
    query: &'q TopK<'q>,
    heap: BinaryHeap<Scored>,
}

impl Best<'_> {
    fn takes(&self, scored: Scored) -> bool {
        let is_behind = self.query.after.is_none_or(|after| scored > after);
        let is_room = self.heap.len() < self.query.k;
        is_behind && (is_room || self.heap.peek().is_some_and(|worst| scored < *worst))
    }

    fn add(&mut self, scored: Scored) {
        if self.heap.len() == self.query.k {
            self.heap.pop();
        }
        self.heap.push(scored);
    }
}
