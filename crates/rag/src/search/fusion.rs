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

/// Fuses the legs, each with its weight and its chunks, best first. Best first; ties go to the lower chunk id. A chunk that a leg
/// names twice has its first rank there.
pub fn fuse(dense: (f64, &[i64]), lexical: (f64, &[i64])) -> Vec<Fused> {
    let mut fused: HashMap<i64, Fused> = HashMap::new();
    let mut add = |(weight, chunks): (f64, &[i64]), rank_of: fn(&mut Fused) -> &mut Option<i32>| {
        for (rank, &chunk_id) in (1..).zip(chunks) {
            let new = Fused { chunk_id, dense_rank: None, lexical_rank: None, rrf: 0.0 };
            let fused = fused.entry(chunk_id).or_insert(new);
            if rank_of(fused).is_none() {
                *rank_of(fused) = Some(rank);
                fused.rrf += weight / (RRF_K + f64::from(rank));
            }
        }
    };
    add(dense, |fused| &mut fused.dense_rank);
    add(lexical, |fused| &mut fused.lexical_rank);
    let mut fused: Vec<Fused> = fused.into_values().collect();
    fused.sort_by(|a, b| b.rrf.total_cmp(&a.rrf).then(a.chunk_id.cmp(&b.chunk_id)));
    fused
}
