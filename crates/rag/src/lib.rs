//! Retrieval-augmented generation without PostgreSQL: chunking, models of this machine and of providers, ranking, and
//! answers made of quotes. `cargo test` runs all of it without a server.
//!
//! Modules depend on each other one way, and all of them on [`error`].
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

pub use error::{Error, Result};
