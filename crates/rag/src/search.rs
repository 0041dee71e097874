//! Query analysis, reciprocal rank fusion and BM25 arithmetic.
pub mod analysis;
pub mod answer_quality;
mod bm25;
pub mod calibration;
pub mod conversation;
pub mod diverse;
pub mod exact_scan;
pub mod explain;
pub mod filter;
pub mod fusion;
pub mod lexical;
pub mod passage;
pub mod pseudo_question;
pub mod quality;
mod query;
pub mod query_stats;
pub mod question_cache;
pub mod relevance;
pub mod sample;
pub mod shard;
pub mod weights;

pub use bm25::{Bm25, Weights};
pub use query::{Query, Syntax, any_of};
