//! The dense leg against an exact scan, on vectors that the collection holds.
use crate::search::engine::{admit, names};
use crate::search::pgvector::PgVector;
use crate::search::resolve::{Resolved, resolve};
use crate::search::settings;
use crate::sys::datum::vector::Vector;
use crate::sys::interrupt;
use crate::sys::plan;
use crate::sys::plan::scans;
use crate::sys::spi::{fill, read_as_caller, required};
use rag::Result;
use rag::search::quality::recall_of_nearest;
use std::time::Instant;

/// What came of asking for stored vectors, one entry each.
pub struct Measured {
    /// Shares of the nearest that the leg found.
    pub recalls: Vec<f64>,
    /// Milliseconds of the leg.
    pub index_times: Vec<f64>,
    /// Milliseconds of the exact scan.
    pub exact_times: Vec<f64>,
    /// How the leg's plan gets at its chunks.
    pub access: Option<String>,
}

/// Asks for the vectors of up to `queries` chunks, as the dense leg of a search `depth` deep does and once
/// more without an index, and compares the `k` nearest.
pub fn measure(collection: &str, queries: i32, k: usize, depth: usize) -> Result<Measured> {
    let Resolved { collection, generation, snapshot: _snapshot } = resolve(collection)?;
    admit(&collection, &generation)?;
    let pgvector = PgVector::find()?;
    let names = names(&generation, &pgvector)?;
    let sample = fill(
        statement!("search/recall_sample"),
        &[("chunks", names.chunks.as_str()), ("vector", &pgvector.schema_sql)],
    );
    let vectors = read_as_caller(&sample, &[queries.into()], |row| {
        (required::<i64>(&row, 1), required::<Vector>(&row, 2))
    });
    let statement = |order: &str| {
        let depth = (depth + 1).to_string();
        let parts = [
            ("distance", names.distance.as_str()),
            ("chunks", &names.chunks),
            ("order", order),
            ("depth", &depth),
        ];
        fill(statement!("search/recall_nearest"), &parts)
    };
    let leg = statement(&names.distance);
    // No index is on this expression.
    let exact = statement(&format!("({}) OPERATOR(pg_catalog.+) 0", names.distance));
    let _settings = settings::for_search(depth, &generation);
    let mut measured =
        Measured { recalls: vec![], index_times: vec![], exact_times: vec![], access: None };
    for (chunk_id, Vector(vector)) in vectors {
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
            measured.access = crate::search::engine::explain::described(&scans);
        }
    }
    Ok(measured)
}
