//! The state of a collection's vector index, and whether it should be rebuilt.
use crate::catalog::collection::Collection;
use crate::catalog::target::Target;
use crate::ingest::index_ddl::{VectorIndex, count_chunks, vector_indexes};
use crate::search::recall::{Asked, measure};
use crate::sys::spi::{column, read};
use rag::Result;

/// An ivfflat index is stale when there are so many times the rows that it was built over: its lists are too few.
const MAX_GROWTH: i64 = 4;
/// An index is bloated when it has so many times the bytes a row that it had when it was built.
const MAX_BLOAT: f64 = 2.0;
/// A smaller index is not rebuilt for its size.
const MIN_BLOATED_BYTES: i64 = 16 * 1024 * 1024;
/// An index with less recall is stale.
const MIN_RECALL: f64 = 0.9;

/// Nearest chunks that recall counts, and the depth of the searches that measure it.
const RECALL_NEIGHBOURS: usize = 10;
const RECALL_DEPTH: usize = 100;

/// Share of the chunks nearest to stored vectors that searches find by the index.
#[derive(Debug, Clone, Copy)]
pub struct Recall {
    /// Mean over the questions.
    pub mean: f64,
    /// Half the width of its 95 % confidence interval.
    pub margin: f64,
}

impl Recall {
    /// `None` with fewer than two questions.
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

/// The state of the vector index of the active generation.
pub struct IndexReport {
    /// The generation.
    pub generation: i32,
    /// Method of the index: `hnsw`, `ivfflat` or `none`.
    pub method: String,
    /// Chunks now.
    pub rows: i64,
    /// Chunks when it was built.
    pub rows_indexed: Option<i64>,
    /// Its bytes.
    pub size: Option<i64>,
    /// Its lists, where it has some.
    pub lists: Option<i32>,
    /// How much of what an exact search finds it finds; `None` where that was not measured.
    pub recall: Option<Recall>,
    /// Why it should be built anew.
    pub reason: Option<String>,
    /// Whether it can be: it is wanted at all, and the first load is in.
    pub can_be_built: bool,
    /// Whether it is about to be.
    pub is_wanted: bool,
}

/// Inspects the index, and measures recall with up to `questions` questions.
pub fn inspect(collection: &Collection, questions: i32) -> Result<IndexReport> {
    let target = Target::reload(collection.active_generation()?.id)?;
    let generation = &target.generation;
    let indexes = vector_indexes(generation.chunks);
    let valid = indexes.iter().rfind(|index| index.is_valid).copied();
    let built =
        "SELECT g.index_rows, g.index_size FROM rag.generation g WHERE g.generation_id = $1";
    let (rows_indexed, size_built) = read(built, &[generation.id.into()], |row| {
        (column::<i64>(&row, 1), column::<i64>(&row, 2))
    })[0];
    let rows = count_chunks(&target);
    let can_be_built = generation.index_method != "none" && generation.is_loaded;
    let recall = match valid {
        Some(_) if questions > 0 => {
            let name = &collection.name;
            let (k, depth) = (RECALL_NEIGHBOURS, RECALL_DEPTH);
            Recall::of(&measure(name, Asked::StoredVectors, questions, k, depth)?.recalls)
        }
        _ => None,
    };
    let built = rows_indexed.zip(size_built).filter(|_| valid.is_some());
    let reason =
        can_be_built.then(|| stale_reason(valid, indexes.len(), rows, built, recall)).flatten();
    Ok(IndexReport {
        generation: generation.id,
        method: generation.index_method.clone(),
        rows,
        rows_indexed: rows_indexed.filter(|_| valid.is_some()),
        size: valid.map(|index| index.size),
        lists: valid.and_then(|index| index.lists),
        recall,
        reason,
        can_be_built,
        is_wanted: generation.wants_index,
    })
}

/// Why an index should be built anew. `built` is how many rows it had, and bytes, when it was built.
fn stale_reason(
    valid: Option<VectorIndex>,
    indexes: usize,
    rows: i64,
    built: Option<(i64, i64)>,
    recall: Option<Recall>,
) -> Option<String> {
    let Some(index) = valid else {
        let invalid = indexes > 0;
        return Some(if invalid { "only an invalid index" } else { "no index" }.to_owned());
    };
    if indexes > 1 {
        return Some(format!("{indexes} indexes where one is enough"));
    }
    if let (Some(_), Some((before, _))) = (index.lists, built)
        && rows >= MAX_GROWTH * before.max(1)
    {
        return Some(format!("{rows} chunks in lists made for {before}"));
    }
    if let Some((before, bytes)) = built.filter(|_| index.size > MIN_BLOATED_BYTES) {
        let a_row = |bytes: i64, rows: i64| bytes as f64 / rows.max(1) as f64;
        let (now, then) = (a_row(index.size, rows), a_row(bytes, before));
        if now > MAX_BLOAT * then {
            return Some(format!("{now:.0} bytes a chunk, {then:.0} when it was built"));
        }
    }
    let recall = recall.filter(|recall| recall.mean + recall.margin < MIN_RECALL)?;
    Some(format!("recall {:.2} ± {:.2}", recall.mean, recall.margin))
}

#[cfg(test)]
mod tests {
    use super::{Recall, VectorIndex, stale_reason};
    use pgrx::pg_sys::Oid;

    const MEGABYTE: i64 = 1024 * 1024;

    fn index(size: i64, lists: Option<i32>) -> VectorIndex {
        VectorIndex { oid: Oid::INVALID, is_valid: true, size, lists }
    }

    #[test]
    fn an_index_is_fine_until_something_says_otherwise() {
        let built = Some((10_000, 20 * MEGABYTE));
        let reason = |index, rows, built| stale_reason(Some(index), 1, rows, built, None);
        assert_eq!(reason(index(20 * MEGABYTE, None), 10_000, built), None);
        assert_eq!(reason(index(200 * MEGABYTE, None), 100_000, built), None);
        assert_eq!(reason(index(15 * MEGABYTE, None), 1, built), None, "small ones may be bloated");
        assert_eq!(reason(index(20 * MEGABYTE, Some(100)), 39_999, built), None);
        let grown = reason(index(80 * MEGABYTE, Some(100)), 40_000, built);
        assert_eq!(grown.as_deref(), Some("40000 chunks in lists made for 10000"));
        let bloated = reason(index(20 * MEGABYTE, None), 4_000, built);
        assert_eq!(bloated.as_deref(), Some("5243 bytes a chunk, 2097 when it was built"));
        // Restored by a dump from before figures were kept: nothing to compare with.
        assert_eq!(reason(index(200 * MEGABYTE, None), 1, None), None);
        assert_eq!(stale_reason(None, 0, 5, None, None).as_deref(), Some("no index"));
        assert_eq!(stale_reason(None, 1, 5, None, None).as_deref(), Some("only an invalid index"));
        assert!(stale_reason(Some(index(1, None)), 2, 5, None, None).is_some());
    }

    #[test]
    fn margin_shrinks_with_agreement() {
        assert!(Recall::of(&[1.0]).is_none());
        let agreed = Recall::of(&[0.8; 20]).unwrap();
        assert!((agreed.mean - 0.8).abs() < 1e-9 && agreed.margin < 1e-9);
        let split = Recall::of(&[1.0, 0.0, 1.0, 0.0]).unwrap();
        assert!((split.mean - 0.5).abs() < 1e-9 && (split.margin - 0.566).abs() < 1e-3);
    }

    #[test]
    fn recall_must_be_low_beyond_doubt() {
        let judge = |mean, margin| {
            stale_reason(Some(index(1, None)), 1, 5, None, Some(Recall { mean, margin }))
        };
        assert_eq!(judge(0.8, 0.2), None);
        assert_eq!(judge(0.8, 0.05).as_deref(), Some("recall 0.80 ± 0.05"));
    }
}
