//! Recall of the dense leg: the vector index against an exact scan.
//!
//! Questions show what searches miss: an index finds the neighbours of vectors that it holds more easily. Stored vectors show whether the index is in order,
//! and no model is called for them.
use crate::catalog::model::embedder;
use crate::models::embedder::Embedder;
use crate::search::access_path::{AccessPath, joined};
use crate::search::resolve::{Resolved, resolve};
use crate::search::statement::{DenseScan, dense, search_settings};
use crate::sys::datum::text::StoredText;
use crate::sys::datum::vector::Vector;
use crate::sys::interrupt;
use crate::sys::plan;
use crate::sys::plan::scans;
use crate::sys::spi::{column, fill, read_as_caller, required};
use pgrx::{FromDatum, IntoDatum};
use rag::Result;
use rag::model::{Detail, Purpose};
use rag::search::pseudo_question::pseudo_question;
use rag::search::quality::recall_of_nearest;
use rag::search::{Query, Syntax};
use std::time::Instant;

/// Questions embedded by one call of the model.
const BATCH: usize = 64;

/// What the index is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Logged questions that the caller may read, the newest first; where these are too few, parts of sentences of chunks.
    Questions,
    /// Vectors of chunks.
    StoredVectors,
}

/// Figures of each question.
#[derive(Default)]
pub struct Measured {
    /// Shares of the nearest that the leg found.
    pub recalls: Vec<f64>,
    /// How many of the questions were logged.
    pub logged: usize,
    /// Milliseconds of the leg.
    pub index_times: Vec<f64>,
    /// Milliseconds of the exact scan.
    pub exact_times: Vec<f64>,
    /// How the leg's plan reads its chunks.
    pub access: Option<String>,
}

/// A text that is asked, or a chunk's vector.
struct Probe<T> {
    asked: T,
    /// The chunk that it is of. Nearest to what is of itself, it does not count.
    chunk_id: Option<i64>,
}

/// Asks `count` times, or as often as there is something to ask, as the dense leg of a search `depth` deep does and once more without an
/// index, and compares the `k` nearest.
pub fn measure(
    collection: &str,
    asked: Asked,
    count: i32,
    k: usize,
    depth: usize,
) -> Result<Measured> {
    let resolved = resolve(collection, |_| ())?;
    let mut measured = Measured::default();
    match asked {
        Asked::StoredVectors => {
            let vector = format!("c.embedding::{}.vector", resolved.pgvector.schema_sql);
            for (chunk_id, Vector(asked)) in sample::<Vector>(&resolved, &vector, count) {
                let probe = Probe { asked, chunk_id: Some(chunk_id) };
                measured.ask(&resolved, &probe, k, depth)?;
            }
        }
        Asked::Questions => {
            let model = embedder(&resolved.collection, &resolved.generation)?;
            let (questions, logged) = questions(&resolved, &model, count)?;
            measured.logged = logged;
            for batch in questions.chunks(BATCH) {
                let texts: Vec<&str> = batch.iter().map(|probe| &*probe.asked).collect();
                let embedded = model.embed_reporting(&texts, Purpose::Query, Detail::Vector)?;
                for (probe, embedding) in batch.iter().zip(embedded) {
                    let probe = Probe { asked: embedding.vector, chunk_id: probe.chunk_id };
                    measured.ask(&resolved, &probe, k, depth)?;
                }
            }
        }
    }
    Ok(measured)
}

impl Measured {
    fn ask(
        &mut self,
        resolved: &Resolved,
        probe: &Probe<Vec<f32>>,
        k: usize,
        depth: usize,
    ) -> Result<()> {
        interrupt::checkpoint()?;
        let Resolved { generation, tables, pgvector, .. } = resolved;
        let leg = dense(tables, DenseScan::Index("true"), depth + 1);
        let exact = dense(tables, DenseScan::Exact, depth + 1);
        let _settings = search_settings(depth, generation);
        let arguments = [pgvector.argument(Some(&probe.asked)), (depth as i64 + 1).into()];
        let distances = |sql: &str, times: &mut Vec<f64>| {
            let started = Instant::now();
            let found: Vec<(i64, f64)> =
                plan::read_as_caller(sql, &arguments, |row| (required(row, 1), required(row, 2)));
            times.push(started.elapsed().as_secs_f64() * 1e3);
            let others = found.into_iter().filter(|(found, _)| Some(*found) != probe.chunk_id);
            let mut distances: Vec<f64> = others.map(|(_, distance)| distance).collect();
            distances.sort_by(f64::total_cmp);
            distances
        };
        let found = distances(&leg, &mut self.index_times);
        let nearest = distances(&exact, &mut self.exact_times);
        self.recalls.push(recall_of_nearest(&found, &nearest, k));
        if self.access.is_none() {
            self.access = joined(&AccessPath::of(&scans::of(&leg, &arguments)));
        }
        Ok(())
    }
}

/// What the expression `asked` gives of chunks that the caller sees: of up to `count`, evenly spread.
fn sample<T: FromDatum + IntoDatum>(resolved: &Resolved, asked: &str, count: i32) -> Vec<(i64, T)> {
    let names = [("chunks", resolved.tables.chunks.as_str()), ("asked", asked)];
    let sql = fill(statement!("search/recall_sample"), &names);
    read_as_caller(&sql, &[count.into()], |row| (required(&row, 1), required(&row, 2)))
}

/// Up to `count` questions of which the model reads something, and how many of them were logged.
fn questions(
    resolved: &Resolved,
    model: &Embedder,
    count: i32,
) -> Result<(Vec<Probe<String>>, usize)> {
    let has_tokens = |text: &str| model.counter().count(text).map(|count| count > 0);
    let args = [resolved.collection.name.as_str().into(), count.into()];
    let logged = read_as_caller(statement!("search/recall_logged"), &args, |row| {
        let (text, syntax): (String, Option<String>) = (required(&row, 1), column(&row, 2));
        let syntax = syntax.and_then(|name| Syntax::named(&name).ok()).unwrap_or_default();
        Query::parse(&text, syntax).text
    });
    let mut questions = Vec::new();
    for asked in logged {
        if has_tokens(&asked)? {
            questions.push(Probe { asked, chunk_id: None });
        }
    }
    let logged = questions.len();
    let missing = count - logged as i32;
    if missing > 0 {
        for (chunk_id, content) in sample::<StoredText>(resolved, "c.content", missing) {
            let asked = pseudo_question(&content, chunk_id.unsigned_abs()).to_owned();
            if has_tokens(&asked)? {
                questions.push(Probe { asked, chunk_id: Some(chunk_id) });
            }
        }
    }
    Ok((questions, logged))
}
