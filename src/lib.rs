//! Retrieval-augmented generation inside PostgreSQL, beside pgvector.
//!
//! One word names a feature everywhere: the SQL function, the pure module here, its glue in
//! `pg/api/`, and its tests. `pg` alone knows PostgreSQL; everything else is plain Rust that
//! `cargo test` runs without a server. Dependencies point one way: `pg` → domain modules → `error`.
pub mod answer;
pub mod chunk;
pub mod error;
pub mod file;
pub mod generation;
pub mod memory;
pub mod model;
pub mod queue;
pub mod remote;
pub mod rerank;
pub mod search;

mod pg;

pub use error::{Error, Result};

pgrx::pg_module_magic!(name, version);
