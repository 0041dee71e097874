//! Recall of a vector index, measured against comparing every vector.
//!
//! The questions are chunks of the collection itself, drawn at random: searches with real questions may
//! fare better or worse, but an index that misses chunks' neighbours misses theirs.
use crate::Result;
use crate::pg::collection::create::extension_schema;
use crate::pg::interrupt::checkpoint;
use crate::pg::rights::as_source_owner;
use crate::pg::search::settings::Scope;
use crate::pg::spi::{fill, query, required};
use crate::pg::vector_index;
use crate::pg::worker::collection::Target;

/// Neighbours of a chunk that count, besides itself.
const NEIGHBOURS: usize = 10;
/// Candidates of a search's dense leg, which decide how thoroughly it looks.
const DEPTH: usize = 100;
/// A neighbour this little farther than the last one is as good.
const ROUNDING: f64 = 1e-4;

/// Share of the nearest neighbours that the index finds.
#[derive(Debug, Clone, Copy)]
pub struct Recall {
    /// Mean over the questions.
    pub mean: f64,
    /// Half the width of its 95 % confidence interval.
    pub margin: f64,
}

/// Measures with so many chunks as questions. `None` where there are too few chunks to tell.
pub fn measure(target: &Target, questions: usize) -> Result<Option<Recall>> {
    as_source_owner(target.collection.owner, || {
        let drawn = fill(
            "SELECT c.chunk_id FROM {chunks} c ORDER BY pg_catalog.random() LIMIT {limit}",
            &[("chunks", &target.chunks), ("limit", &questions.to_string())],
        );
        let drawn: Vec<i64> = query(&drawn, &[], |row| required(&row, 1));
        let mut shares = Vec::with_capacity(drawn.len());
        for chunk in drawn {
            checkpoint()?;
            let exact = nearest(target, chunk, false);
            let Some(last) = exact.last().filter(|_| exact.len() == NEIGHBOURS) else {
                return Ok(None);
            };
            let found = {
                let _settings = Scope::for_index(DEPTH, &target.generation);
                nearest(target, chunk, true)
            };
            let good = found.iter().filter(|distance| **distance <= last + ROUNDING).count();
            shares.push(good.min(NEIGHBOURS) as f64 / NEIGHBOURS as f64);
        }
        Ok(Recall::of(&shares))
    })
}

/// Distances of a chunk's nearest neighbours, with or without the index.
fn nearest(target: &Target, chunk: i64, by_index: bool) -> Vec<f64> {
    let schema = extension_schema("vector");
    let dimensions = target.generation.dimensions;
    let question = "(SELECT q.embedding FROM {chunks} q WHERE q.chunk_id = $1)";
    let question = fill(question, &[("chunks", &target.chunks)]);
    let distance = vector_index::distance("c", &question, dimensions, &schema);
    // No index is ordered by a sum.
    let order = if by_index { distance.clone() } else { format!("({distance}) + 0") };
    let sql = fill(
        include_str!("../../../sql/run/index_nearest.sql"),
        &[
            ("chunks", &target.chunks),
            ("distance", &distance),
            ("order", &order),
            ("count", &NEIGHBOURS.to_string()),
            ("limit", &(NEIGHBOURS + 1).to_string()),
        ],
    );
    query(&sql, &[chunk.into()], |row| required(&row, 1))
}

impl Recall {
    fn of(shares: &[f64]) -> Option<Self> {
        let count = shares.len() as f64;
        if shares.len() < 2 {
            return None;
        }
        let mean = shares.iter().sum::<f64>() / count;
        let variance = shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Some(Self { mean, margin: 1.96 * (variance / count).sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::Recall;

    #[test]
    fn margin_shrinks_with_agreement() {
        assert!(Recall::of(&[1.0]).is_none());
        let agreed = Recall::of(&[0.8; 20]).unwrap();
        assert!((agreed.mean - 0.8).abs() < 1e-9 && agreed.margin < 1e-9);
        let split = Recall::of(&[1.0, 0.0, 1.0, 0.0]).unwrap();
        assert!((split.mean - 0.5).abs() < 1e-9 && (split.margin - 0.566).abs() < 1e-3);
    }
}
