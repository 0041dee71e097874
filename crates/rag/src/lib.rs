//! Retrieval-augmented generation without PostgreSQL: chunking, models of this machine and of providers, ranking, and
//! answers made of quotes. `cargo test` runs all of it without a server.
//!
//! No two files import each other, directly or around a circle. Modules import only those before them:
//!
//! ```text
//! error < memory < file < extract < text < model < chunk < rerank < answer < generation < queue < remote < search < inverted < fuzz
//! ```
//!
//! Inside of `model`: formats of files (`manifest`, `onnx`, `tokenizer`), then what lies on disk (`inventory`, `store`),
//! then what runs (`runtime`, `session`, `local` and the model kinds), then what brings models (`hub`, `import`,
//! `install`). Inside of `remote`: what a model is (`spec` and its parts), then `client` and `call`, then what drives
//! calls (`fan_out`), then the model kinds.
pub mod answer;
pub mod chunk;
pub mod error;
pub mod extract;
pub mod file;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod generation;
pub mod inverted;
pub mod memory;
pub mod model;
pub mod queue;
pub mod remote;
pub mod rerank;
pub mod search;
pub mod text;

pub use error::{Error, Result};
