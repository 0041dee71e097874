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

/// The places of about `most` chunks whose terms weigh most, each term counted once: BM25 but for how often a chunk
/// holds them and how long it is. Of those that weigh the same, some from all over the table.
pub fn weightiest(lists: &[Postings<'_>], most: usize) -> Vec<Place> {
    let slots = slots(lists);
    let mut sums = vec![0.0; PAGES as usize * slots];
    let mut lists: Vec<(f32, &[u64])> =
        lists.iter().map(|list| (list.weight as f32, list.places)).collect();
    let mut best = Best { most, least: (f32::MIN_POSITIVE.to_bits(), 0), found: Vec::new() };
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

/// One more than the highest place on a page.
fn slots(lists: &[Postings<'_>]) -> usize {
    // Of signed numbers every processor finds the highest of several at once.
    let highest = |list: &Postings<'_>| {
        list.places.iter().fold(0, |highest: i16, number| highest.max(place(*number).1 as i16))
    };
    lists.iter().map(highest).max().map_or(1, |highest| highest as usize + 1)
}

/// The best so far: each with the bits of its sum, which are in the order of sums, and what decides between equals.
struct Best {
    most: usize,
    /// The least that is still of interest.
    least: (u32, u32),
    found: Vec<(u32, u32, Place)>,
}

impl Best {
    fn take(&mut self, sum: u32, place: Place) {
        let scattered = scattered(place);
        if (sum, scattered) >= self.least {
            self.found.push((sum, scattered, place));
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

    fn found(mut self) -> Vec<Place> {
        self.prune();
        self.found.truncate(self.most);
        let mut places: Vec<Place> = self.found.into_iter().map(|(.., place)| place).collect();
        places.sort_unstable();
        places
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
            let found = weightiest(&postings, most);
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
        let found = weightiest(&[Postings { weight: 1.0, places: &places }], 1_000);
        let early = found.iter().filter(|(page, _)| *page < 50_000).count();
        assert!((400..600).contains(&early), "{early} of 1,000");
    }
}
