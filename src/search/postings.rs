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
const PAGES: u64 = 4_096;
/// What all terms weigh together. The sums are of whole numbers, and of half the size of others.
const SCALE: f64 = 60_000.0;

/// The places of about `most` chunks whose terms weigh most, each term counted once: BM25 but for how often a chunk
/// holds them and how long it is. Of those that weigh the same, some from all over the table.
pub fn weightiest(lists: &[Postings<'_>], most: usize) -> Vec<Place> {
    let all: f64 = lists.iter().map(|list| list.weight).sum();
    let share = |list: &Postings<'_>| ((list.weight / all * SCALE) as u16).max(1);
    let weights: Vec<u16> = lists.iter().map(share).collect();
    let slots = slots(lists);
    let mut sums = vec![0_u16; PAGES as usize * slots];
    let mut lists: Vec<&[u64]> = lists.iter().map(|list| list.places).collect();
    let mut best = Best { most, least: 1, found: Vec::new() };
    while let Some(first) = lists.iter().filter_map(|list| list.first()).min() {
        let page = u64::from(place(*first).0) / PAGES * PAGES;
        let base = page as usize * slots;
        let slot = |number: u64| {
            let (page, place) = place(number);
            page as usize * slots + place as usize - base
        };
        for (list, weight) in lists.iter_mut().zip(&weights) {
            let here = list.iter().take_while(|number| u64::from(place(**number).0) < page + PAGES);
            let mut count = 0;
            for number in here {
                let sum = &mut sums[slot(*number)];
                *sum = sum.saturating_add(*weight);
                count += 1;
            }
            *list = &list[count..];
        }
        best.take(&mut sums, |slot| {
            (((base + slot) / slots) as u32, ((base + slot) % slots) as u16)
        });
    }
    best.found()
}

/// One more than the highest place on a page.
fn slots(lists: &[Postings<'_>]) -> usize {
    let places = lists.iter().flat_map(|list| list.places);
    places.map(|number| place(*number).1 as usize + 1).max().unwrap_or(1)
}

/// The best so far.
struct Best {
    most: usize,
    /// The least sum that is still of interest.
    least: u16,
    found: Vec<(u16, u32, Place)>,
}

impl Best {
    /// Takes what is of interest of the sums, and clears them.
    fn take(&mut self, sums: &mut [u16], at: impl Fn(usize) -> Place) {
        for (chunk, sums) in sums.chunks_mut(SUMS).enumerate() {
            if sums.iter().any(|sum| *sum >= self.least) {
                for (slot, sum) in sums.iter().enumerate() {
                    if *sum >= self.least {
                        let place = at(chunk * SUMS + slot);
                        self.found.push((*sum, scattered(place), place));
                    }
                }
                if self.found.len() >= 4 * self.most.max(SUMS) {
                    self.prune();
                }
            }
            sums.fill(0);
        }
    }

    fn prune(&mut self) {
        if self.found.len() > self.most && self.most > 0 {
            self.found.select_nth_unstable_by(self.most - 1, |a, b| b.cmp(a));
            self.found.truncate(self.most);
            self.least = self.found[self.most - 1].0;
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

/// Sums that are looked at together.
const SUMS: usize = 64;

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
            // Whole numbers are a hair off.
            prop_assert!(left.fold(0.0, f64::max) <= least + all * 20.0 / SCALE);
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
