//! The top-k chunks by the sum of their terms' weights, from posting lists.
use super::gin::tid;
use super::sample::Tid;

/// The posting list of a term.
#[derive(Debug, Clone, PartialEq)]
pub struct PostingList<'a> {
    /// The term's inverse document frequency.
    pub weight: f64,
    /// Packed TIDs, ascending, each once.
    pub tids: &'a [u64],
}

/// Pages of a table that are scored together: their sums fit into a processor's cache.
const PAGES: u64 = 2_048;

/// A candidate's position in the ranking: the bits of its sum (in the order of sums), the tie-break, and its TID.
pub type Rank = (u32, u32, Tid);

/// The sum of its terms' weights.
pub fn sum((bits, ..): Rank) -> f32 {
    f32::from_bits(bits)
}

/// The `most` candidates with the highest sums of their terms' inverse document frequencies (BM25 without term frequency and
/// length), highest first; equal sums are taken from all over the table. With `after`, those that rank behind it. The order
/// of two candidates depends on nothing but these two: without the rows that a caller may not see, the order of the rest is
/// the same.
pub fn top_k(lists: &[PostingList<'_>], most: usize, after: Option<Rank>) -> Vec<Rank> {
    let slots = slots(lists);
    let mut sums = vec![0.0; PAGES as usize * slots];
    let mut lists: Vec<(f32, &[u64])> =
        lists.iter().map(|list| (list.weight as f32, list.tids)).collect();
    let least = (f32::MIN_POSITIVE.to_bits(), 0);
    let mut top = TopK { most, after, least, found: Vec::new() };
    let mut reached = Vec::new();
    while let Some(first) = lists.iter().filter_map(|(_, tids)| tids.first()).min() {
        let page = u64::from(tid(*first).0) / PAGES * PAGES;
        let base = page as usize * slots;
        for (weight, tids) in &mut lists {
            let end = tids.partition_point(|packed| u64::from(tid(*packed).0) < page + PAGES);
            let (here, later) = tids.split_at(end);
            for packed in here {
                let (page, offset) = tid(*packed);
                let slot = page as usize * slots + usize::from(offset) - base;
                sums[slot] += *weight;
                // Few are, once the first pages have raised the bound; some more than once.
                if f32::to_bits(sums[slot]) >= top.least.0 {
                    reached.push(slot);
                }
            }
            *tids = later;
        }
        for slot in reached.drain(..) {
            let (page, offset) = ((base + slot) / slots, (base + slot) % slots);
            let sum = std::mem::take(&mut sums[slot]).to_bits();
            top.take(sum, (page as u32, offset as u16));
        }
        sums.fill(0.0);
    }
    top.found()
}

/// Keeps the TIDs that are also in `others`; both ascend.
pub fn intersect(tids: &mut Vec<u64>, others: &[u64]) {
    let mut rest = others;
    tids.retain(|tid| {
        rest = &rest[rest.partition_point(|other| other < tid)..];
        rest.first() == Some(tid)
    });
}

/// One more than the highest offset number on a page.
fn slots(lists: &[PostingList<'_>]) -> usize {
    // Of signed numbers every processor finds the highest of several at once.
    let highest = |list: &PostingList<'_>| {
        list.tids.iter().fold(0, |highest: i16, packed| highest.max(tid(*packed).1 as i16))
    };
    lists.iter().map(highest).max().map_or(1, |highest| highest as usize + 1)
}

/// The highest ranks so far.
struct TopK {
    most: usize,
    after: Option<Rank>,
    /// Sum and tie-break of the lowest rank that still counts.
    least: (u32, u32),
    found: Vec<Rank>,
}

impl TopK {
    fn take(&mut self, sum: u32, tid: Tid) {
        let rank = (sum, tie_break(tid), tid);
        if (rank.0, rank.1) >= self.least && self.after.is_none_or(|after| rank < after) {
            self.found.push(rank);
            if self.found.len() >= 4 * self.most.max(64) {
                self.prune();
            }
        }
    }

    fn prune(&mut self) {
        if self.found.len() > self.most && self.most > 0 {
            self.found.select_nth_unstable_by(self.most - 1, |a, b| b.cmp(a));
            self.found.truncate(self.most);
            let (sum, scattered, _) = self.found[self.most - 1];
            self.least = (sum, scattered);
        }
    }

    fn found(mut self) -> Vec<Rank> {
        self.prune();
        self.found.truncate(self.most);
        self.found.sort_unstable_by(|a, b| b.cmp(a));
        self.found
    }
}

/// Orders equal sums by a hash, so that candidates come from all over the table.
fn tie_break((page, offset): Tid) -> u32 {
    (page ^ u32::from(offset) << 16)
        .wrapping_mul(0x9e37_79b1)
        .rotate_left(15)
        .wrapping_mul(0x85eb_ca77)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::gin::packed;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn top_k_are_the_highest_sums(
            lists in prop::collection::vec((0.01..20.0_f64, prop::collection::btree_set((0..20_000_u32, 1..20_u16), 0..400)), 0..10),
            most in 0_usize..300,
        ) {
            let mut sums: BTreeMap<Tid, f64> = BTreeMap::new();
            for (weight, tids) in &lists {
                for tid in tids {
                    *sums.entry(*tid).or_default() += weight;
                }
            }
            let numbers = |tids: &BTreeSet<Tid>| tids.iter().map(|tid| packed(*tid)).collect();
            let numbers: Vec<Vec<u64>> = lists.iter().map(|(_, tids)| numbers(tids)).collect();
            let postings = lists.iter().zip(&numbers);
            let postings = postings.map(|((weight, _), tids)| PostingList { weight: *weight, tids });
            let postings: Vec<PostingList<'_>> = postings.collect();
            let found = top_k(&postings, most, None);
            prop_assert!(found.windows(2).all(|pair| pair[0] > pair[1]), "highest first");
            // In two steps as in one.
            let mut steps = top_k(&postings, most / 3, None);
            let after = steps.last().copied();
            steps.extend(top_k(&postings, most - most / 3, after));
            prop_assert_eq!(&found, &steps);
            let found: Vec<Tid> = found.into_iter().map(|(.., tid)| tid).collect();
            prop_assert_eq!(found.len(), most.min(sums.len()));
            let tids: BTreeSet<Tid> = found.iter().copied().collect();
            prop_assert_eq!(tids.len(), found.len(), "each once");
            let least = found.iter().map(|tid| sums[tid]).fold(f64::INFINITY, f64::min);
            let all: f64 = lists.iter().map(|(weight, _)| weight).sum();
            let left = sums.iter().filter(|(tid, _)| !tids.contains(tid)).map(|(_, sum)| *sum);
            // Sums of half the size are a hair off.
            prop_assert!(left.fold(0.0, f64::max) <= least + all * 1e-6);
        }
    }

    #[test]
    fn equal_sums_are_taken_from_all_over_the_table() {
        let tids: Vec<u64> = (0..100_000).map(|page| packed((page, 1))).collect();
        let found = top_k(&[PostingList { weight: 1.0, tids: &tids }], 1_000, None);
        let early = found.iter().filter(|(.., (page, _))| *page < 50_000).count();
        assert!((400..600).contains(&early), "{early} of 1,000");
    }

    proptest! {
        #[test]
        fn hidden_candidates_do_not_change_the_order_of_others(
            lists in prop::collection::vec((0.01..20.0_f64, prop::collection::btree_set((0..9_000_u32, 1..20_u16), 0..200)), 1..6),
            hidden in prop::collection::btree_set((0..9_000_u32, 1..20_u16), 0..900),
        ) {
            let order = |visible: &dyn Fn(&Tid) -> bool| {
                let visible_tids = |tids: &BTreeSet<Tid>| tids.iter().filter(|tid| visible(tid)).map(|tid| packed(*tid)).collect();
                let numbers: Vec<Vec<u64>> = lists.iter().map(|(_, list)| visible_tids(list)).collect();
                let postings = lists.iter().zip(&numbers);
                let postings: Vec<PostingList<'_>> =
                    postings.map(|((weight, _), tids)| PostingList { weight: *weight, tids }).collect();
                top_k(&postings, usize::MAX / 8, None)
            };
            let is_visible = |tid: &Tid| !hidden.contains(tid);
            let mut all = order(&|_| true);
            all.retain(|(.., tid)| is_visible(tid));
            prop_assert_eq!(all, order(&is_visible));
        }

        #[test]
        fn intersections_are_those_of_sets(a in prop::collection::btree_set(0..60_u64, 0..40), b in prop::collection::btree_set(0..60_u64, 0..40)) {
            let (one, other): (Vec<u64>, Vec<u64>) = (a.iter().copied().collect(), b.iter().copied().collect());
            let mut both = one;
            intersect(&mut both, &other);
            prop_assert_eq!(both, a.intersection(&b).copied().collect::<Vec<_>>());
        }
    }
}
