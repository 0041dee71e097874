//! Recall of the dense leg: the vector index against an exact scan, for stored vectors.
use crate::search::access_path::{AccessPath, joined};
use crate::search::resolve::{Resolved, resolve};
use crate::search::statement::search_settings;
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
    let statement = |order: &str| {
        let depth = (depth + 1).to_string();
        let parts = [
            ("distance", tables.distance.as_str()),
            ("chunks", &tables.chunks),
            ("order", order),
            ("depth", &depth),
        ];
        fill(statement!("search/recall_nearest"), &parts)
    };
    let leg = statement(&tables.distance);
    // No index is on this expression.
    let exact = statement(&format!("({}) OPERATOR(pg_catalog.+) 0", tables.distance));
    let _settings = search_settings(depth, generation);
    let mut measured =
        Measured { recalls: vec![], index_times: vec![], exact_times: vec![], access: None };
    for StoredVector { chunk_id, vector: Vector(vector) } in questions {
        interrupt::checkpoint()?;
        let arguments = [pgvector.argument(Some(&vector)), chunk_id.into()];
        let distances = |sql: &str, times: &mut Vec<f64>| {
            let started = Instant::now();
            let found = plan::read_as_caller(sql, &arguments, |row| required::<f64>(row, 1));
            times.push(started.elapsed().as_secs_f64() * 1e3);
            found
        };
        let found = distances(&leg, &mut measured.index_times);
        let nearest = distances(&exact, &mut measured.exact_times);
        measured.recalls.push(recall_of_nearest(&found, &nearest, k));
        if measured.access.is_none() {
            let scans = scans::of_cte(&leg, &arguments, "dense");
            measured.access = joined(&AccessPath::of(&scans));
        }
    }
    Ok(measured)
}
