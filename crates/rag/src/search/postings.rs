//! Which chunks hold the weightiest of a question's terms, by the places that an index lists under each.
use super::gin::place;
use super::sample::Place;

/// The places that an index lists under a term.
#[derive(Debug, Clone, PartialEq)]
pub struct Postings<'a> {
    /// What the term weighs: its inverse document frequency.
    pub weight: f64,
    /// Numbers of the places, ascending, each once.
    pub places: &'a [u64],
}

/// Pages of a table whose chunks are weighed together: their sums fit into a processor's cache.
const PAGES: u64 = 2_048;

/// A candidate in the order of candidates: the bits of its sum, which are in the order of sums, what decides between equal
/// sums, and its place.
pub type Rank = (u32, u32, Place);

/// The sum of a candidate's weights.
pub fn sum((bits, ..): Rank) -> f32 {
    f32::from_bits(bits)
}

/// The `most` candidates whose terms weigh most, each term counted once: BM25 but for how often a chunk holds them and how
/// long it is. Highest first; of those that weigh the same, some from all over the table. Where `after` is given, those that
/// come after it. The order of two candidates depends on nothing but these two, so that leaving out what a caller may not see
/// gives the order of the rest.
pub fn weightiest(lists: &[Postings<'_>], most: usize, after: Option<Rank>) -> Vec<Rank> {
    let slots = slots(lists);
    let mut sums = vec![0.0; PAGES as usize * slots];
    let mut lists: Vec<(f32, &[u64])> =
        lists.iter().map(|list| (list.weight as f32, list.places)).collect();
    let least = (f32::MIN_POSITIVE.to_bits(), 0);
    let mut best = Best { most, after, least, found: Vec::new() };
    let mut reached = Vec::new();
    while let Some(first) = lists.iter().filter_map(|(_, places)| places.first()).min() {
        let page = u64::from(place(*first).0) / PAGES * PAGES;
        let base = page as usize * slots;
        for (weight, places) in &mut lists {
            let end = places.partition_point(|number| u64::from(place(*number).0) < page + PAGES);
            let (here, later) = places.split_at(end);
            for number in here {
                let (page, place) = place(*number);
                let slot = page as usize * slots + usize::from(place) - base;
                sums[slot] += *weight;
                // Few do, once the first pages have told how much it takes; some more than once.
                if f32::to_bits(sums[slot]) >= best.least.0 {
                    reached.push(slot);
                }
            }
            *places = later;
        }
        for slot in reached.drain(..) {
            let place = ((base + slot) / slots, (base + slot) % slots);
            let sum = std::mem::take(&mut sums[slot]).to_bits();
            best.take(sum, (place.0 as u32, place.1 as u16));
        }
        sums.fill(0.0);
    }
    best.found()
}

/// Leaves those of `places` that are among `others`; both ascend.
pub fn intersect(places: &mut Vec<u64>, others: &[u64]) {
    let mut rest = others;
    places.retain(|place| {
        rest = &rest[rest.partition_point(|other| other < place)..];
        rest.first() == Some(place)
    });
}

/// One more than the highest place on a page.
fn slots(lists: &[Postings<'_>]) -> usize {
    // Of signed numbers every processor finds the highest of several at once.
    let highest = |list: &Postings<'_>| {
        list.places.iter().fold(0, |highest: i16, number| highest.max(place(*number).1 as i16))
    };
    lists.iter().map(highest).max().map_or(1, |highest| highest as usize + 1)
}

/// The best so far.
struct Best {
    most: usize,
    after: Option<Rank>,
    /// The least that is still of interest.
    least: (u32, u32),
    found: Vec<Rank>,
}

impl Best {
    fn take(&mut self, sum: u32, place: Place) {
        let rank = (sum, scattered(place), place);
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

/// A number that tells nothing of where the place is.
fn scattered((page, place): Place) -> u32 {
    (page ^ u32::from(place) << 16)
        .wrapping_mul(0x9e37_79b1)
        .rotate_left(15)
        .wrapping_mul(0x85eb_ca77)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::gin::number;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn those_that_weigh_most_are_found(
            lists in prop::collection::vec((0.01..20.0_f64, prop::collection::btree_set((0..20_000_u32, 1..20_u16), 0..400)), 0..10),
            most in 0_usize..300,
        ) {
            let mut sums: BTreeMap<Place, f64> = BTreeMap::new();
            for (weight, places) in &lists {
                for place in places {
                    *sums.entry(*place).or_default() += weight;
                }
            }
            let numbers = |places: &BTreeSet<Place>| places.iter().map(|place| number(*place)).collect();
            let numbers: Vec<Vec<u64>> = lists.iter().map(|(_, places)| numbers(places)).collect();
            let postings = lists.iter().zip(&numbers);
            let postings = postings.map(|((weight, _), places)| Postings { weight: *weight, places });
            let postings: Vec<Postings<'_>> = postings.collect();
            let found = weightiest(&postings, most, None);
            prop_assert!(found.windows(2).all(|pair| pair[0] > pair[1]), "highest first");
            // In two steps as in one.
            let mut steps = weightiest(&postings, most / 3, None);
            let after = steps.last().copied();
            steps.extend(weightiest(&postings, most - most / 3, after));
            prop_assert_eq!(&found, &steps);
            let found: Vec<Place> = found.into_iter().map(|(.., place)| place).collect();
            prop_assert_eq!(found.len(), most.min(sums.len()));
            let places: BTreeSet<Place> = found.iter().copied().collect();
            prop_assert_eq!(places.len(), found.len(), "each once");
            let least = found.iter().map(|place| sums[place]).fold(f64::INFINITY, f64::min);
            let all: f64 = lists.iter().map(|(weight, _)| weight).sum();
            let left = sums.iter().filter(|(place, _)| !places.contains(place)).map(|(_, sum)| *sum);
            // Sums of half the size are a hair off.
            prop_assert!(left.fold(0.0, f64::max) <= least + all * 1e-6);
        }
    }

    #[test]
    fn of_equals_some_are_taken_from_everywhere() {
        let places: Vec<u64> = (0..100_000).map(|page| number((page, 1))).collect();
        let found = weightiest(&[Postings { weight: 1.0, places: &places }], 1_000, None);
        let early = found.iter().filter(|(.., (page, _))| *page < 50_000).count();
        assert!((400..600).contains(&early), "{early} of 1,000");
    }

    proptest! {
        #[test]
        fn hidden_candidates_do_not_change_the_order_of_others(
            lists in prop::collection::vec((0.01..20.0_f64, prop::collection::btree_set((0..9_000_u32, 1..20_u16), 0..200)), 1..6),
            hidden in prop::collection::btree_set((0..9_000_u32, 1..20_u16), 0..900),
        ) {
            let order = |visible: &dyn Fn(&Place) -> bool| {
                let places = |places: &BTreeSet<Place>| places.iter().filter(|place| visible(place)).map(|place| number(*place)).collect();
                let numbers: Vec<Vec<u64>> = lists.iter().map(|(_, list)| places(list)).collect();
                let postings = lists.iter().zip(&numbers);
                let postings: Vec<Postings<'_>> =
                    postings.map(|((weight, _), places)| Postings { weight: *weight, places }).collect();
                weightiest(&postings, usize::MAX / 8, None)
            };
            let is_visible = |place: &Place| !hidden.contains(place);
            let mut all = order(&|_| true);
            all.retain(|(.., place)| is_visible(place));
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
