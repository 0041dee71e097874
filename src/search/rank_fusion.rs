//! Rankings of different kinds become one by rank alone.
use std::collections::BTreeMap;

/// The constant of reciprocal rank fusion. Small, because the legs are few and their first ranks
/// are trustworthy.
pub const RRF_K: f64 = 10.0;

/// Fuses rankings, best first: an id at rank `r` (from 1) of a ranking gets `1 / (k + r)`, and the
/// sums decide. Highest first, ties in ascending order of id. An id that a ranking repeats counts
/// at its first place.
pub fn reciprocal_rank_fusion<I: Ord + Copy>(rankings: &[&[I]], k: f64) -> Vec<(I, f64)> {
    let mut sums: BTreeMap<I, (f64, usize)> = BTreeMap::new();
    for (number, ranking) in rankings.iter().enumerate() {
        for (rank, &id) in (1_u32..).zip(ranking.iter()) {
            let (sum, rankings_seen) = sums.entry(id).or_insert((0.0, 0));
            if *rankings_seen <= number {
                *sum += 1.0 / (k + f64::from(rank));
                *rankings_seen = number + 1;
            }
        }
    }
    let mut fused: Vec<(I, f64)> = sums.into_iter().map(|(id, (sum, _))| (id, sum)).collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1));
    fused
}
