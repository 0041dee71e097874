//! Rows of a table without an index to find them: all rows of some pages, evenly spread.
use std::num::NonZeroU32;

/// Most rows that a page of PostgreSQL's usual size holds.
const MOST_A_PAGE: f64 = 291.0;

/// A TID (item pointer): block number, and offset number from 1.
pub type Tid = (u32, u16);

/// A table as statistics have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// Its rows.
    pub rows: f64,
    /// Its pages.
    pub pages: NonZeroU32,
}

/// TIDs of about `wanted` rows: all of some pages. Some may be empty. Another `seed` means other pages, the same one the
/// same pages.
pub fn places(extent: Extent, wanted: usize, seed: u64) -> Vec<Tid> {
    let pages = f64::from(extent.pages.get());
    let rows_a_page = (extent.rows / pages).clamp(1.0, MOST_A_PAGE);
    // Pages differ in how much they hold, and deleted rows leave TIDs empty.
    let last = (2.0 * rows_a_page + 4.0).ceil().min(MOST_A_PAGE) as u16;
    let looked_at = (wanted as f64 / rows_a_page).ceil().clamp(1.0, pages);
    let stride = pages / looked_at;
    let start = stride * (seed % 1_024) as f64 / 1_024.0;
    let page = |n: u32| ((start + stride * f64::from(n)) as u32).min(extent.pages.get() - 1);
    let pages = (0..looked_at as u32).map(page);
    pages.flat_map(|page| (1..=last).map(move |offset| (page, offset))).collect()
}

/// `wanted` random TIDs where rows are likely. Another `seed` means others.
pub fn scattered(extent: Extent, wanted: usize, seed: u64) -> impl Iterator<Item = Tid> {
    let pages = u64::from(extent.pages.get());
    let rows_a_page = (extent.rows / pages as f64).clamp(1.0, MOST_A_PAGE) as u64;
    let mut random = (1..).map(move |n: u64| scrambled(seed.wrapping_add(n)));
    let mut random = move || random.next().unwrap_or_default();
    (0..wanted).map(move |_| ((random() % pages) as u32, (1 + random() % rows_a_page) as u16))
}

/// A number as good as random for each number: the generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators"
/// (`SplitMix64`).
pub fn scrambled(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn extent(rows: f64, pages: u32) -> Extent {
        Extent { rows, pages: NonZeroU32::new(pages).expect("some pages") }
    }

    #[test]
    fn a_small_table_is_sampled_whole() {
        let places = places(extent(40.0, 10), 1_000, 77);
        assert_eq!(
            places.iter().map(|(page, _)| *page).collect::<BTreeSet<_>>(),
            (0..10).collect()
        );
        assert_eq!(places.iter().filter(|(page, _)| *page == 9).count(), 12);
    }

    #[test]
    fn random_tids_lie_within_the_table() {
        let places: BTreeSet<Tid> = scattered(extent(9_990.0, 1_000), 2_000, 7).collect();
        assert!(places.iter().all(|(page, place)| *page < 1_000 && (1..=9).contains(place)));
        assert!(
            places.len() > 1_500 && places.iter().filter(|(page, _)| *page < 500).count() > 600
        );
        assert_ne!(places, scattered(extent(9_990.0, 1_000), 2_000, 8).collect());
    }

    proptest! {
        #[test]
        fn places_are_spread_and_bounded(rows in 0.0..1e10_f64, pages in 1..u32::MAX, wanted in 1..2_000_usize, seed: u64) {
            let places = places(extent(rows, pages), wanted, seed);
            prop_assert!(places.iter().all(|(page, place)| *page < pages && (1..=291).contains(place)));
            prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "each once");
            prop_assert!(!places.is_empty() && places.len() <= 7 * wanted + 600);
            let (first, last) = (places[0].0, places[places.len() - 1].0);
            let read: BTreeSet<u32> = places.iter().map(|(page, _)| *page).collect();
            let gap = f64::from(pages) / read.len() as f64;
            prop_assert!(f64::from(first) <= gap && f64::from(pages - last) <= gap + 1.0);
        }
    }
}
