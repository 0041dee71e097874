//! Scores of different scales over the same candidates become one order.
use std::cmp::Ordering;

/// How far each value lies from the mean, in standard deviations.
///
/// All are 0 when there is no deviation. A value that is not finite counts as the lowest finite
/// one: a candidate without a signal is no better than the worst that has one.
pub fn standard_scores(values: &[f64]) -> Vec<f64> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let Some(lowest) = finite().reduce(f64::min) else { return vec![0.0; values.len()] };
    let highest = finite().fold(lowest, f64::max);
    // To [0, 1] first: neither huge nor tiny values overflow or vanish when squared. Halves keep
    // the range itself finite.
    let range = highest / 2.0 - lowest / 2.0;
    if range <= f64::EPSILON * lowest.abs().max(highest.abs()) {
        return vec![0.0; values.len()];
    }
    let unit =
        |value: f64| if value.is_finite() { (value / 2.0 - lowest / 2.0) / range } else { 0.0 };
    let count = values.len() as f64;
    let mean = values.iter().map(|&value| unit(value)).sum::<f64>() / count;
    let variance = values.iter().map(|&value| (unit(value) - mean).powi(2)).sum::<f64>() / count;
    let deviation = variance.sqrt();
    values.iter().map(|&value| (unit(value) - mean) / deviation).collect()
}

/// Weight of MaxSim beside cosine and BM25, which have 1. It says most: of the passages of `SQuAD` and of a technical
/// manual it finds more than the three do when they count alike, and twice as much as each other finds most.
pub const MAX_SIM_WEIGHT: f64 = 2.0;

/// The weighted sum of the standard scores of each leg; one value per candidate.
///
/// A leg's unit and zero do not matter. Every leg has one value for every candidate, in the candidates'
/// order.
pub fn fuse(legs: &[(f64, &[f64])]) -> Vec<f64> {
    let candidates = legs.iter().map(|(_, leg)| leg.len()).max().unwrap_or(0);
    let mut fused = vec![0.0; candidates];
    for (weight, leg) in legs {
        for (sum, score) in fused.iter_mut().zip(standard_scores(leg)) {
            *sum += weight * score;
        }
    }
    fused
}

/// Positions of `scores` from the highest to the lowest; ties in ascending order of `key`, and
/// what is no number last.
pub fn order<K: Ord>(scores: &[f64], key: impl Fn(usize) -> K) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..scores.len()).collect();
    positions.sort_by(|&a, &b| {
        descending(scores[a], scores[b]).then_with(|| key(a).cmp(&key(b))).then_with(|| a.cmp(&b))
    });
    positions
}

/// Higher first, what is no number last.
fn descending(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
        (a_is_nan, b_is_nan) => a_is_nan.cmp(&b_is_nan),
    }
}
