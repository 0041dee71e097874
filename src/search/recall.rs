//! Recall of the dense leg: the vector index against an exact scan, for stored vectors.
use crate::search::access_path::{AccessPath, joined};
use crate::search::resolve::{Resolved, resolve};
use crate::search::statement::{DenseScan, dense, search_settings};
use crate::sys::datum::vector::Vector;
use crate::sys::interrupt;
use crate::sys::plan;
use crate::sys::plan::scans;
use crate::sys::rows::row;
use crate::sys::spi::{fill, read_as_caller, required};
use rag::Result;
use rag::search::quality::recall_of_nearest;
use std::time::Instant;

/// Figures of each stored vector.
pub struct Measured {
    /// Shares of the nearest that the leg found.
    pub recalls: Vec<f64>,
    /// Milliseconds of the leg.
    pub index_times: Vec<f64>,
    /// Milliseconds of the exact scan.
    pub exact_times: Vec<f64>,
    /// How the leg's plan reads its chunks.
    pub access: Option<String>,
}

row! {
    /// A row of `sql/run/search/recall_sample.sql`.
    struct StoredVector {
        chunk_id: i64,
        vector: Vector,
    }
}

/// Searches for the vectors of up to `queries` chunks, as the dense leg of a search `depth` deep does and once more without an
/// index, and compares the `k` nearest.
pub fn measure(collection: &str, queries: i32, k: usize, depth: usize) -> Result<Measured> {
    let resolved = resolve(collection, |_| ())?;
    let Resolved { generation, tables, pgvector, .. } = &resolved;
    let sample = fill(
        statement!("search/recall_sample"),
        &[("chunks", tables.chunks.as_str()), ("vector", &pgvector.schema_sql)],
    );
    let questions = read_as_caller(&sample, &[queries.into()], |row| StoredVector::read(&row));
    let leg = dense(tables, DenseScan::Index("true"), depth + 1);
    let exact = dense(tables, DenseScan::Exact, depth + 1);
    let _settings = search_settings(depth, generation);
    let mut measured =
        Measured { recalls: vec![], index_times: vec![], exact_times: vec![], access: None };
    for StoredVector { chunk_id, vector: Vector(vector) } in questions {
        interrupt::checkpoint()?;
        let most = depth as i64 + 1;
        let arguments = [pgvector.argument(Some(&vector)), most.into()];
        let distances = |sql: &str, times: &mut Vec<f64>| {
            let started = Instant::now();
            let found: Vec<(i64, f64)> =
                plan::read_as_caller(sql, &arguments, |row| (required(row, 1), required(row, 2)));
            times.push(started.elapsed().as_secs_f64() * 1e3);
            let others = found.into_iter().filter(|(found, _)| *found != chunk_id);
            let mut distances: Vec<f64> = others.map(|(_, distance)| distance).collect();
            distances.sort_by(f64::total_cmp);
            distances
        };
        let found = distances(&leg, &mut measured.index_times);
        let nearest = distances(&exact, &mut measured.exact_times);
        measured.recalls.push(recall_of_nearest(&found, &nearest, k));
        if measured.access.is_none() {
            let scans = scans::of(&leg, &arguments);
            measured.access = joined(&AccessPath::of(&scans));
        }
    }
    Ok(measured)
}
