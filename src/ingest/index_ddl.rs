//! The vector index, built once the first load is in and again when `rag_maintain` asks for it.
//!
//! A worker starts an index builder, which builds it concurrently: documents are indexed meanwhile, and a long transaction
//! of a user delays that process only. `rag_work()` builds it in one transaction: workers that write
//! chunks wait and, once it drops a replaced index, searches until it commits.
//!
//! A vector index is ours if it depends on the extension, as after `ALTER INDEX … DEPENDS ON EXTENSION`. A rename,
//! `REINDEX CONCURRENTLY` (which gives it another OID), a dump and `pg_upgrade` keep that. Other vector indexes of the table
//! are its owner's, and left alone.
#![allow(unsafe_code)] // names of relations

use crate::catalog::target::Target;
use crate::catalog::vector_index;
use crate::ingest::imported;
use crate::sys::dependency;
use crate::sys::failed::Failed;
use crate::sys::guc::scope::set_local;
use crate::sys::names::{extension_schema, relation_sql};
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::rows::row;
use crate::sys::spi::{execute, fill, read, required};
use crate::sys::transaction::Host;
use crate::sys::workers::admission;
use crate::sys::workers::builder_control;
use pgrx::pg_sys::{self, Oid};
use pgrx::spi::quote_identifier;
use rag::Result;
use std::ffi::{CStr, CString};

row! {
    /// A vector index that is there.
    #[derive(Debug, Clone, Copy)]
    pub struct VectorIndex {
        /// The index.
        pub oid: Oid,
        /// False if a failed build left it.
        pub is_valid: bool,
        /// Its bytes.
        pub size: i64,
        /// Its lists, if it is an ivfflat.
        pub lists: Option<i32>,
    }
}

/// Our vector indexes of a table of chunks, oldest first.
pub fn vector_indexes(chunks: Oid) -> Vec<VectorIndex> {
    read(statement!("ingest/vector_indexes"), &[chunks.into()], |row| VectorIndex::read(&row))
}

/// The statements that build a generation's index.
pub struct IndexPlan {
    /// Its name, in the schema of the chunks.
    pub name: String,
    /// The statement that creates it.
    pub create: String,
    /// The same, concurrently.
    pub create_concurrently: String,
    /// Names of indexes that failed builds left.
    pub broken: Vec<String>,
    /// Names of indexes that it replaces.
    pub replaced: Vec<String>,
}

impl IndexPlan {
    /// `None` if no index is to be built.
    pub fn load(target: &Target) -> Option<Self> {
        let generation = &target.generation;
        if generation.is_loaded && !generation.wants_index || generation.index_method == "none" {
            return None;
        }
        let name = |index: &VectorIndex| relation_sql(index.oid);
        let (valid, broken): (Vec<VectorIndex>, Vec<VectorIndex>) =
            vector_indexes(generation.chunks).into_iter().partition(|index| index.is_valid);
        let options = match generation.index_method.as_str() {
            "ivfflat" => {
                format!("WITH (lists = {})", vector_index::lists(count_chunks(target) as f64))
            }
            _ => String::new(),
        };
        let definition = vector_index::definition(&extension_schema("vector"));
        let new = free_name(generation.chunks);
        let quoted = quote_identifier(&new);
        let create = |concurrently: &str| {
            let names = [
                ("concurrently", concurrently),
                ("name", quoted.as_str()),
                ("chunks", target.chunks.as_str()),
                ("method", &generation.index_method),
                ("definition", &definition),
                ("options", &options),
            ];
            fill(statement!("ingest/build_index"), &names)
        };
        Some(Self {
            name: new,
            create: create(""),
            create_concurrently: create("CONCURRENTLY"),
            broken: broken.iter().map(name).collect(),
            replaced: valid.iter().map(name).collect(),
        })
    }
}

/// The name that PostgreSQL would give a vector index of this table.
fn free_name(chunks: Oid) -> String {
    // SAFETY: look-ups of a table that a generation has, or an ERROR; the name is palloc'd and copied.
    unsafe {
        let (table, schema) = (pg_sys::get_rel_name(chunks), pg_sys::get_rel_namespace(chunks));
        let (column, label) = (c"embedding".as_ptr(), c"idx".as_ptr());
        let name = pg_sys::ChooseRelationName(table, column, label, schema, false);
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

/// Makes the new index of a generation depend on the extension, by which it is ours.
pub fn add_dependency(target: &Target, name: &str) {
    let name = CString::new(name).expect("names hold no zero byte");
    // SAFETY: look-ups in a transaction. The table exists while a generation is worked on; only its owner can drop the index
    // meanwhile.
    let index = unsafe {
        let schema = pg_sys::get_rel_namespace(target.generation.chunks);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    if index != pg_sys::InvalidOid {
        dependency::add_to_extension(index);
    }
}

/// Number of chunks.
pub fn count_chunks(target: &Target) -> i64 {
    let sql = fill("SELECT pg_catalog.count(1) FROM {chunks}", &[("chunks", &target.chunks)]);
    let count = || read(&sql, &[], |row| required(&row, 1)).pop();
    as_source_owner(target.collection.owner, count).unwrap_or_default()
}

/// Starts a builder for the index of a generation, or builds it here. True once the index is there; false while another process builds it, also a builder just started.
pub fn build(host: &Host, generation: i32) -> Result<bool, Failed> {
    if host.is_worker() && builder_control::start(generation) {
        return Ok(false);
    }
    host.transaction(|| {
        if !admission::index_build(generation).try_exclusive_for_transaction() {
            return Ok(false);
        }
        let Some(target) = Target::load(generation)? else { return Ok(true) };
        if let Some(plan) = IndexPlan::load(&target) {
            vector_index::restrain_build(set_local);
            as_source_owner(target.collection.owner, || {
                execute(&plan.create, &[]);
                add_dependency(&target, &plan.name);
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
    let index = vector_indexes(generation.chunks).into_iter().rfind(|index| index.is_valid);
    let rows = index.map(|_| count_chunks(target));
    let size = index.map(|index| index.size);
    let sql = statement!("ingest/index_built");
    let args = [generation.id.into(), rows.into(), size.into()];
    as_extension_owner(|| execute(sql, &args));
    imported::forget(generation.id);
}
