//! Reciprocal rank fusion of a search's two legs.
use std::collections::HashMap;

/// The constant of reciprocal rank fusion. Small, because the legs are few and their first ranks are
/// trustworthy.
pub const RRF_K: f64 = 10.0;

/// A chunk that a leg found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fused {
    /// Its identifier.
    pub chunk_id: i64,
    /// Rank by distance, from 1.
    pub dense_rank: Option<i32>,
    /// Rank by BM25, from 1.
    pub lexical_rank: Option<i32>,
    /// Sum over the legs of `weight / (k + rank)`.
    pub rrf: f64,
}

/// Most chunks by which a list is longer than was asked for, since they equal the last that was.
pub const MAX_TIES: usize = 20;

/// Fuses the legs, each with its weight and its chunks with what they are ranked by, best first. Equals share a rank, which is one more than
/// the number of better ones: their order in a leg is that of their ids, which differs between servers with the same documents. Best first;
/// ties go to the better dense rank, then to the better lexical one. A chunk that a leg names twice has its first rank there.
pub fn fuse(dense: (f64, &[(i64, f64)]), lexical: (f64, &[(i64, f64)])) -> Vec<Fused> {
    let mut fused: HashMap<i64, Fused> = HashMap::new();
    let mut add = |(weight, chunks): (f64, &[(i64, f64)]),
                   rank_of: fn(&mut Fused) -> &mut Option<i32>| {
        let (mut shared, mut before) = (1, None);
        for (rank, &(chunk_id, value)) in (1..).zip(chunks) {
            if before != Some(value) {
                (shared, before) = (rank, Some(value));
            }
            let new = Fused { chunk_id, dense_rank: None, lexical_rank: None, rrf: 0.0 };
            let fused = fused.entry(chunk_id).or_insert(new);
            if rank_of(fused).is_none() {
                *rank_of(fused) = Some(shared);
                fused.rrf += weight / (RRF_K + f64::from(shared));
            }
        }
    };
    add(dense, |fused| &mut fused.dense_rank);
    add(lexical, |fused| &mut fused.lexical_rank);
    let mut fused: Vec<Fused> = fused.into_values().collect();
    let rank = |rank: Option<i32>| rank.unwrap_or(i32::MAX);
    let ranks = |one: &Fused| (rank(one.dense_rank), rank(one.lexical_rank), one.chunk_id);
    fused.sort_by(|a, b| b.rrf.total_cmp(&a.rrf).then_with(|| ranks(a).cmp(&ranks(b))));
    fused
}

/// How many of a list to take where `wanted` are: those behind the last that equal it too, so that no id decides, unless there are more than
/// [`MAX_TIES`].
pub fn with_ties<T>(list: &[T], wanted: usize, are_equal: impl Fn(&T, &T) -> bool) -> usize {
    let Some(worst) = wanted.checked_sub(1).and_then(|place| list.get(place)) else {
        return list.len().min(wanted);
    };
    let ties = list[wanted..].iter().take(MAX_TIES).take_while(|one| are_equal(worst, one));
    wanted + ties.count()
}

/// The same of what was fused.
pub fn fused_with_ties(fused: &[Fused], wanted: usize) -> usize {
    with_ties(fused, wanted, |a, b| {
        (a.dense_rank, a.lexical_rank) == (b.dense_rank, b.lexical_rank)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_share_a_rank() {
        let fused = fuse((1.0, &[]), (1.0, &[(4, 9.0), (2, 5.0), (7, 5.0), (1, 3.0)]));
        let ranks: Vec<_> = fused.iter().map(|one| (one.chunk_id, one.lexical_rank)).collect();
        assert_eq!(ranks, [(4, Some(1)), (2, Some(2)), (7, Some(2)), (1, Some(4))]);
        assert!((fused[1].rrf - fused[2].rrf).abs() < f64::EPSILON);
    }

    #[test]
    fn what_equals_the_last_is_taken_too_unless_there_is_much_of_it() {
        let list = [1, 2, 2, 2, 3];
        let taken = |wanted| with_ties(&list, wanted, |a, b| a == b);
        assert_eq!([0, 1, 2, 3, 4, 5, 9].map(taken), [0, 1, 4, 4, 4, 5, 5]);
        assert_eq!(with_ties(&[0; 100], 10, |a, b| a == b), 10 + MAX_TIES);
    }
}
