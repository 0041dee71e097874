//! The best chunks by BM25, exactly, without scoring all that hold a term.
//!
//! Windows of ids are scored one after the other. What a list's parts and blocks can add at most in a window tells which windows and
//! blocks hold none of the best (block-max indexes, Ding and Suel 2011), and which lists cannot lift a chunk among them by
//! themselves: those are looked up only for chunks that the others give (`MaxScore`, Turtle and Flood 1995).
use super::impact::{Impacts, weight};
use super::scan::{Scan, WINDOW, Window, Work};
use super::search::{Deleted, Looked, Terms, each_of};
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
    /// Most postings unpacked; a search that needs more ends with what it has.
    pub budget: u64,
}

impl TopK<'_> {
    /// A term's part of a chunk's score: [`Bm25::score`] as a multiple of 2^-30, so that sums are exact in any order.
    pub fn summand(bm25: &Bm25, idf: f64, posting: Posting) -> f64 {
        Impacts::without_table(bm25).score(weight(idf), posting.frequency, posting.length)
    }
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

/// A chunk and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// BM25 over the question's terms, each rounded to a multiple of 2^-30 and at least that.
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

/// Lists of more postings have their scores looked up in a table.
const TABLE_FROM: u64 = 8_192;

/// Postings that are added to a window in the time of looking one chunk up.
const LOOK_UP: usize = 24;

impl<L: Lists> Terms<'_, L> {
    /// The chunks with the highest scores, ties by lower id. Deleted ones are left out.
    pub fn top_k(&self, query: &TopK<'_>, checkpoint: Checkpoint<'_>) -> Result<Found> {
        let mut search = Search::new(self, query);
        let is_complete = query.k == 0 || search.run(checkpoint)?;
        Ok(Found { best: search.best.heap.into_sorted_vec(), work: search.work, is_complete })
    }

    fn count(&self, deletions: bool, number: usize) -> u64 {
        let of = if deletions { &self.deletions } else { &self.live };
        let lists = of.iter().filter_map(|looked| looked.lists[number].as_ref());
        lists.fold(0, |count, list| count.saturating_add(list.count))
    }
}

struct Search<'t, 'a, L> {
    terms: &'t Terms<'a, L>,
    query: &'t TopK<'t>,
    impacts: Impacts,
    /// Each term's weight, and its scores where it has many postings.
    idf: Vec<f64>,
    tables: Vec<Vec<f64>>,
    best: Best,
    deleted: Deleted<'t, 'a, L>,
    work: Work,
    /// Memory that windows use again.
    candidates: Vec<u32>,
}

impl<'t, 'a, L: Lists> Search<'t, 'a, L> {
    fn new(terms: &'t Terms<'a, L>, query: &'t TopK<'t>) -> Self {
        let impacts = Impacts::new(&query.bm25);
        let idf = |number| weight(query.idf.get(number).copied().unwrap_or_default());
        let idf: Vec<f64> = (0..terms.count).map(idf).collect();
        let table = |(number, idf): (usize, &f64)| {
            let is_long = terms.count(false, number) > TABLE_FROM;
            if is_long { impacts.table(*idf) } else { Vec::new() }
        };
        let tables = idf.iter().enumerate().map(table).collect();
        let best = Best { k: query.k, after: query.after, least: 0.0, heap: BinaryHeap::new() };
        let deleted = Deleted::new(&terms.deletions);
        let (work, candidates) = (Work::default(), Vec::new());
        Self { terms, query, impacts, idf, tables, best, deleted, work, candidates }
    }

    /// Whether it came to the end within the budget.
    fn run(&mut self, checkpoint: Checkpoint<'_>) -> Result<bool> {
        if let Some(among) = self.query.among {
            let counts = (0..self.terms.count).map(|number| self.terms.count(false, number));
            let postings = counts.fold(0, u64::saturating_add);
            // Below that looking chunks up is faster than going through the lists.
            if (among.len() as u64).saturating_mul(self.terms.count as u64 * 8) < postings {
                return self.look_up(among, checkpoint);
            }
        }
        let mut segments = Vec::new();
        for looked in &self.terms.live {
            checkpoint()?;
            segments.push(self.scans(looked));
        }
        if self.query.among.is_none() && self.query.after.is_none() {
            self.best.least = self.least(&segments);
        }
        for lists in segments {
            if !self.segment(lists, checkpoint)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A segment's lists, those that can add the least first.
    fn scans(&self, looked: &'t Looked<'a, L>) -> Vec<Scan<'t, 'a, L>> {
        let lists = looked.lists.iter().enumerate();
        let scan = |(number, list): (usize, &'t Option<_>)| {
            let list = list.as_ref()?;
            Some(Scan::new(list, number, self.idf[number], &self.impacts))
        };
        let mut lists: Vec<_> = lists.filter_map(scan).collect();
        lists.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        lists
    }

    /// A score that `k` chunks reach at least, as far as heads tell: each part of a list has a chunk that reaches what
    /// the part says.
    fn least(&self, segments: &[Vec<Scan<'t, 'a, L>>]) -> f64 {
        let mut least = 0.0;
        for number in 0..self.terms.count {
            let lists = segments.iter().flatten().filter(|scan| scan.number == number);
            let mut reached: Vec<f64> = lists.flat_map(Scan::reached).copied().collect();
            // Chunks that are deleted do not count; each may be one of those.
            let deleted = usize::try_from(self.terms.count(true, number)).unwrap_or(usize::MAX);
            let nth = deleted.saturating_add(self.query.k - 1);
            if nth < reached.len() {
                let (_, score, _) = reached.select_nth_unstable_by(nth, |a, b| b.total_cmp(a));
                least = f64::max(least, *score);
            }
        }
        least
    }

    /// Looks few chunks up in every list.
    fn look_up(&mut self, among: &[i64], checkpoint: Checkpoint<'_>) -> Result<bool> {
        let mut scores = vec![0.0; among.len()];
        for looked in &self.terms.live {
            for (number, list) in looked.lists.iter().enumerate() {
                let Some(list) = list else { continue };
                let (idf, impacts, work) = (self.idf[number], &self.impacts, &mut self.work);
                each_of(list, among, checkpoint, |at, posting| {
                    scores[at] += impacts.score(idf, posting.frequency, posting.length);
                    work.postings += 1;
                })?;
                if self.work.postings > self.query.budget {
                    return Ok(false);
                }
            }
        }
        for (&chunk, score) in among.iter().zip(scores) {
            if score > 0.0 {
                self.add(Scored { score, chunk })?;
            }
        }
        Ok(true)
    }

    fn add(&mut self, scored: Scored) -> Result<()> {
        if self.best.takes(scored) && !self.deleted.has(scored.chunk)? {
            self.best.add(scored);
        }
        Ok(())
    }

    fn segment(
        &mut self,
        mut lists: Vec<Scan<'t, 'a, L>>,
        checkpoint: Checkpoint<'_>,
    ) -> Result<bool> {
        let mut window = Window::default();
        let mut among = self.query.among;
        // What each list can add in the window, and what the first lists can add together.
        let mut bounds = vec![0.0; lists.len()];
        let mut sums = vec![0.0; lists.len() + 1];
        let mut turns = 0_u32;
        let mut next = lists.iter().filter_map(Scan::next).min();
        while let Some(from) = next {
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(16) {
                checkpoint()?;
                if self.work.postings > self.query.budget {
                    return Ok(false);
                }
            }
            let mut end = from.saturating_add(WINDOW as i64 - 1);
            let mut until = i64::MAX;
            for (list, bound) in lists.iter_mut().zip(&mut bounds) {
                let coarse = list.coarse(from, end);
                *bound = coarse.0;
                until = until.min(coarse.1);
            }
            if self.best.may_take(bounds.iter().sum(), from) {
                for (list, bound) in lists.iter_mut().zip(&mut bounds) {
                    if *bound > 0.0 {
                        *bound = list.fine(from, end, &self.impacts, &mut self.work)?;
                    }
                }
                for (i, bound) in bounds.iter().enumerate() {
                    sums[i + 1] = sums[i] + bound;
                }
                let needed = (0..lists.len()).find(|i| self.best.may_take(sums[i + 1], from));
                if let Some(needed) = needed {
                    window.from = from;
                    self.window(&mut window, &mut lists, needed, &bounds, &sums, &mut among)?;
                }
            } else {
                end = end.max(until);
            }
            let Some(from) = end.checked_add(1) else { break };
            for list in &mut lists {
                list.skip(from);
            }
            next = lists.iter().filter_map(Scan::next).min().map(|next| next.max(from));
        }
        // What was not counted in the last windows.
        Ok(self.work.postings <= self.query.budget)
    }

    /// Scores a window: the lists from `needed` on give chunks, the others are looked up.
    fn window(
        &mut self,
        window: &mut Window,
        lists: &mut [Scan<'t, 'a, L>],
        mut needed: usize,
        bounds: &[f64],
        sums: &[f64],
        among: &mut Option<&[i64]>,
    ) -> Result<()> {
        for number in needed..lists.len() {
            self.accumulate(window, &mut lists[number], bounds[number], sums)?;
        }
        // Looking a chunk up takes as long as adding so many postings.
        while needed > 0
            && window.count(self.best.least() - sums[needed]) * LOOK_UP
                > lists[needed - 1].density()
        {
            needed -= 1;
            self.accumulate(window, &mut lists[needed], bounds[needed], sums)?;
        }
        let mut candidates = std::mem::take(&mut self.candidates);
        window.candidates(self.best.least() - sums[needed], &mut candidates);
        for &candidate in &candidates {
            let (chunk, mut score) = window.scored(candidate);
            if let Some(among) = among {
                *among = &among[among.partition_point(|other| *other < chunk)..];
                if among.first() != Some(&chunk) {
                    continue;
                }
            }
            let mut is_hopeful = self.best.may_take(score + sums[needed], chunk);
            for (list, less) in lists[..needed].iter_mut().zip(sums).rev() {
                if !is_hopeful {
                    break;
                }
                score += list.score(chunk, &self.impacts, &mut self.work)?;
                is_hopeful = self.best.may_take(score + less, chunk);
            }
            if is_hopeful {
                self.add(Scored { score, chunk })?;
            }
        }
        self.candidates = candidates;
        window.clear();
        Ok(())
    }

    fn accumulate(
        &mut self,
        window: &mut Window,
        list: &mut Scan<'t, 'a, L>,
        bound: f64,
        sums: &[f64],
    ) -> Result<()> {
        if bound == 0.0 {
            return Ok(());
        }
        let (others, from) = (sums[sums.len() - 1] - bound, window.from);
        let takes = |block: f64| self.best.may_take(block + others, from);
        let table = &self.tables[list.number];
        list.accumulate(window, table, &self.impacts, takes, &mut self.work)
    }
}

/// The best chunks so far.
struct Best {
    k: usize,
    after: Option<Scored>,
    /// `k` chunks reach this score.
    least: f64,
    heap: BinaryHeap<Scored>,
}

impl Best {
    fn worst(&self) -> Option<&Scored> {
        self.heap.peek().filter(|_| self.heap.len() == self.k)
    }

    /// What a chunk has to score at least.
    fn least(&self) -> f64 {
        self.worst().map_or(self.least, |worst| worst.score.max(self.least))
    }

    /// Whether a chunk from `from` on could be among the best with a score of at most `bound`.
    fn may_take(&self, bound: f64, from: i64) -> bool {
        bound >= self.least
            && self.worst().is_none_or(|worst| {
                bound > worst.score || bound >= worst.score && from < worst.chunk
            })
    }

    fn takes(&self, scored: Scored) -> bool {
        self.after.is_none_or(|after| scored > after) && self.worst().is_none_or(|w| scored < *w)
    }

    fn add(&mut self, scored: Scored) {
        if self.heap.len() == self.k {
            self.heap.pop();
        }
        self.heap.push(scored);
    }
}
