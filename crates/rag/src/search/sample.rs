//! Rows of a table without an index to find them: by random TIDs, evenly spread.
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

/// TIDs of about `wanted` rows, at some of which is none: one in each of as many stretches of the table, all as long. Rows that
/// were written together lie together, so that all rows of some pages would tell less. Another `seed` means others, the same one
/// the same.
pub fn places(extent: Extent, wanted: usize, seed: u64) -> Vec<Tid> {
    let pages = f64::from(extent.pages.get());
    let rows_a_page = (extent.rows / pages).clamp(1.0, MOST_A_PAGE);
    // Pages differ in how much they hold, and deleted rows leave TIDs empty.
    let a_page = (2.0 * rows_a_page + 4.0).ceil().min(MOST_A_PAGE);
    let all = pages * a_page;
    let count = (wanted as f64 * a_page / rows_a_page).ceil().min(all);
    let stretch = all / count;
    let within = |n: u64| scrambled(seed.wrapping_add(n)) as f64 / 2.0_f64.powi(64);
    (0..count as u64)
        .map(|n| {
            let at = ((n as f64 + within(n).min(0.999)) * stretch).floor().min(all - 1.0);
            ((at / a_page).floor() as u32, 1 + (at % a_page) as u16)
        })
        .collect()
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
            let gap = f64::from(pages) / places.len() as f64;
            prop_assert!(f64::from(first) <= gap && f64::from(pages - last) <= gap + 1.0);
        }
    }

    #[test]
    fn each_row_is_as_likely_as_another() {
        let (mut looked_at, pages) = (vec![0_u32; 50 * 10], 50);
        for seed in 0..4_000 {
            for (page, place) in places(extent(500.0, pages), 20, seed) {
                // What lies behind the tenth is none of the rows.
                if place <= 10 {
                    looked_at[page as usize * 10 + usize::from(place) - 1] += 1;
                }
            }
        }
        let most = looked_at.iter().max().copied().unwrap_or_default();
        let least = looked_at.iter().min().copied().unwrap_or_default();
        // 160 each, give or take four standard deviations.
        assert!(least > 110 && most < 215, "{least} to {most}");
    }
}
