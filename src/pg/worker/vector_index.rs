//! The vector index, built once the first load is in and again when `rag_maintain` asks for it.
//!
//! In a worker it is built concurrently, by a process of its own: documents are indexed meanwhile, and a
//! transaction of a user that lasts holds nothing up but that process. Elsewhere it is built in one
//! transaction, for which only workers wait, since nobody else writes chunks.
use super::collection::Target;
use super::failed::Failed;
use super::host::Host;
use super::{builder, turnstile};
use crate::Result;
use crate::pg::collection::create::{extension_schema, relation_sql};
use crate::pg::rights::{as_extension_owner, as_source_owner};
use crate::pg::spi::{column, execute, fill, query, read, required};
use crate::pg::vector_index;
use pgrx::pg_sys::Oid;

/// A vector index that is there.
#[derive(Debug, Clone, Copy)]
pub struct Index {
    /// The index.
    pub oid: Oid,
    /// Whether it may be used: one left by a build that failed may not.
    pub is_valid: bool,
    /// Its bytes.
    pub size: i64,
    /// Its lists, where it is an ivfflat.
    pub lists: Option<i32>,
}

/// The vector indexes of a table of chunks, oldest first.
pub fn of(chunks: Oid) -> Vec<Index> {
    let sql = include_str!("../../../sql/run/index_list.sql");
    read(sql, &[chunks.into()], |row| Index {
        oid: required(&row, 1),
        is_valid: required(&row, 2),
        size: required(&row, 3),
        lists: column(&row, 4),
    })
}

/// What is to be done for a generation's index.
pub struct Plan {
    /// The statement that creates it.
    pub create: String,
    /// The same, concurrently.
    pub create_concurrently: String,
    /// Names of indexes that failed builds left.
    pub broken: Vec<String>,
    /// Names of indexes that it replaces.
    pub replaced: Vec<String>,
}

impl Plan {
    /// `None` where nothing is wanted, or nothing any more.
    pub fn load(target: &Target) -> Option<Self> {
        let generation = &target.generation;
        if generation.is_loaded && !generation.wants_index || generation.index_method == "none" {
            return None;
        }
        let name = |index: &Index| relation_sql(index.oid);
        let (valid, broken): (Vec<Index>, Vec<Index>) =
            of(generation.chunks).into_iter().partition(|index| index.is_valid);
        let options = match generation.index_method.as_str() {
            "ivfflat" => format!("WITH (lists = {})", vector_index::lists(rows(target) as f64)),
            _ => String::new(),
        };
        let definition = vector_index::definition(&extension_schema("vector"));
        let create = |concurrently| {
            let names = [
                ("concurrently", concurrently),
                ("chunks", target.chunks.as_str()),
                ("method", &generation.index_method),
                ("definition", &definition),
                ("options", &options),
            ];
            fill(include_str!("../../../sql/run/work_build_index.sql"), &names)
        };
        Some(Self {
            create: create(""),
            create_concurrently: create("CONCURRENTLY"),
            broken: broken.iter().map(name).collect(),
            replaced: valid.iter().map(name).collect(),
        })
    }
}

/// Number of chunks.
pub fn rows(target: &Target) -> i64 {
    let sql = fill("SELECT pg_catalog.count(1) FROM {chunks}", &[("chunks", &target.chunks)]);
    let count = || query(&sql, &[], |row| required(&row, 1)).pop();
    as_source_owner(target.collection.owner, count).unwrap_or_default()
}

/// Has the index of a generation built, or builds it. False when another process is at it.
pub fn build(host: &Host, generation: i32) -> Result<bool, Failed> {
    if host.is_worker() && builder::call(generation) {
        return Ok(false);
    }
    host.transaction(|| {
        if !turnstile::building(generation).try_exclusive_for_transaction() {
            return Ok(false);
        }
        let Some(target) = Target::load(generation)? else { return Ok(true) };
        if let Some(plan) = Plan::load(&target) {
            as_source_owner(target.collection.owner, || {
                execute(&plan.create, &[]);
                for index in plan.broken.iter().chain(&plan.replaced) {
                    execute(&fill("DROP INDEX {index}", &[("index", index)]), &[]);
                }
            });
        }
        note_built(&target);
        Ok(true)
    })
}

/// Notes that a generation is loaded and has its index.
pub fn note_built(target: &Target) {
    let generation = &target.generation;
    let index = of(generation.chunks).into_iter().rfind(|index| index.is_valid);
    let rows = index.map(|_| rows(target));
    let size = index.map(|index| index.size);
    let sql = include_str!("../../../sql/run/work_loaded.sql");
    let args = [generation.id.into(), rows.into(), size.into()];
    as_extension_owner(|| execute(sql, &args));
}
