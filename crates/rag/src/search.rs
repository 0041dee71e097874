//! Query analysis, reciprocal rank fusion and BM25 arithmetic.
mod bm25;
pub mod diverse;
pub mod explain;
pub mod few;
pub mod filter;
pub mod gin;
pub mod legs;
pub mod lexical;
pub mod passage;
pub mod postings;
pub mod quality;
mod query;
pub mod query_stats;
pub mod question_cache;
pub mod sample;
pub mod script;

pub use bm25::Bm25;
pub use query::{Query, any_of};
