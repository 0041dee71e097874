//! How good rankings are, judged by what is relevant.
use std::collections::BTreeSet;

/// How good one ranking is; each figure from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Share of what is relevant that is among the first `k`.
    pub recall: f64,
    /// One over the rank of the first relevant one among the first `k`, or 0.
    pub reciprocal_rank: f64,
    /// Discounted cumulative gain of the first `k`, over the highest that any order has.
    pub ndcg: f64,
}

impl Figures {
    /// Judges the first `k` of `ranking`, best first. What it repeats counts at its first place and takes
    /// no place again. All figures are 0 when nothing is relevant.
    pub fn of<K: Ord>(
        ranking: impl IntoIterator<Item = K>,
        relevant: &BTreeSet<K>,
        k: usize,
    ) -> Self {
        let mut seen = BTreeSet::new();
        let mut figures = Self::default();
        let (mut hits, mut rank) = (0_usize, 0_usize);
        for key in ranking {
            if rank == k || seen.contains(&key) {
                continue;
            }
            rank += 1;
            if relevant.contains(&key) {
                hits += 1;
                figures.ndcg += gain(rank);
                if hits == 1 {
                    figures.reciprocal_rank = 1.0 / rank as f64;
                }
            }
            seen.insert(key);
        }
        let highest: f64 = (1..=relevant.len().min(k)).map(gain).sum();
        if highest > 0.0 {
            figures.recall = hits as f64 / relevant.len() as f64;
            figures.ndcg /= highest;
        }
        figures
    }
}

/// The gain of a relevant result at a rank, from 1.
fn gain(rank: usize) -> f64 {
    1.0 / (rank as f64 + 1.0).log2()
}

/// The means of many rankings' figures; all 0 for none.
pub fn mean(figures: &[Figures]) -> Figures {
    let count = figures.len().max(1) as f64;
    let mean = |figure: fn(&Figures) -> f64| figures.iter().map(figure).sum::<f64>() / count;
    Figures {
        recall: mean(|figures| figures.recall),
        reciprocal_rank: mean(|figures| figures.reciprocal_rank),
        ndcg: mean(|figures| figures.ndcg),
    }
}

/// The middle value, or the mean of the middle two; 0 for none.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Share of the `k` nearest that a search came upon, given the distances of what it found and those of
/// everything, each in ascending order. Distances and not names are compared: which of several equally
/// near ones is found does not matter. 1 when there is nothing to find.
pub fn recall_of_nearest(found: &[f64], exact: &[f64], k: usize) -> f64 {
    let exact = &exact[..exact.len().min(k)];
    let Some(farthest) = exact.last() else { return 1.0 };
    // Both come from the same arithmetic, but an index may keep a vector's length rounded.
    let hits = found.iter().take(exact.len()).filter(|distance| **distance <= farthest + 1e-6);
    hits.count() as f64 / exact.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(ranking: &[u8], relevant: &[u8], k: usize) -> Figures {
        Figures::of(ranking.iter().copied(), &relevant.iter().copied().collect(), k)
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn metrics_of_known_rankings() {
        let figures = of(&[9, 1, 8, 2], &[1, 2, 3], 3);
        assert!(near(figures.recall, 1.0 / 3.0) && near(figures.reciprocal_rank, 0.5));
        let ideal = 1.0 + 1.0 / 3_f64.log2() + 0.5;
        assert!(near(figures.ndcg, (1.0 / 3_f64.log2()) / ideal));
        assert_eq!(of(&[5, 6], &[1], 10), Figures::default());
        assert_eq!(of(&[1, 2], &[], 10), Figures::default());
    }

    #[test]
    fn a_repeated_document_takes_one_place() {
        assert_eq!(of(&[9, 9, 9, 1], &[1], 2), of(&[9, 1], &[1], 2));
    }

    #[test]
    fn medians_and_means_of_lists() {
        assert!(near(median(&[]), 0.0) && near(median(&[3.0, 1.0, 2.0]), 2.0));
        assert!(near(median(&[4.0, 1.0, 2.0, 3.0]), 2.5));
        assert_eq!(mean(&[]), Figures::default());
        assert!(near(mean(&[of(&[1], &[1], 1), of(&[2], &[1], 1)]).recall, 0.5));
    }

    #[test]
    fn recall_counts_neighbours_at_equal_distance() {
        assert!(near(recall_of_nearest(&[0.1, 0.2, 0.2], &[0.1, 0.2, 0.2, 0.2], 3), 1.0));
        assert!(near(recall_of_nearest(&[0.1, 0.3, 0.4], &[0.1, 0.2, 0.3], 2), 0.5));
        assert!(near(recall_of_nearest(&[], &[], 5), 1.0));
        assert!(near(recall_of_nearest(&[], &[0.1], 5), 0.0));
    }

    proptest! {
        #[test]
        fn figures_are_shares(ranking in prop::collection::vec(0_u8..20, 0..30), relevant in prop::collection::vec(0_u8..20, 0..20), k in 1_usize..25) {
            let figures = of(&ranking, &relevant, k);
            for figure in [figures.recall, figures.reciprocal_rank, figures.ndcg] {
                prop_assert!((0.0..=1.0 + 1e-12).contains(&figure));
            }
            prop_assert_eq!(figures.recall > 0.0, figures.ndcg > 0.0);
            prop_assert!(of(&ranking, &relevant, k + 1).recall >= figures.recall);
            prop_assert!(of(&ranking, &relevant, k + 1).reciprocal_rank >= figures.reciprocal_rank);
        }

        #[test]
        fn the_best_order_is_perfect(relevant in prop::collection::btree_set(0_u8..100, 1..20), more in 0_usize..5) {
            let figures = Figures::of(relevant.iter().copied(), &relevant, relevant.len() + more);
            prop_assert!(near(figures.recall, 1.0) && near(figures.reciprocal_rank, 1.0) && near(figures.ndcg, 1.0));
        }
    }
}
