//! Query analysis, reciprocal rank fusion and BM25 arithmetic.
mod bm25;
pub mod explain;
pub mod filter;
pub mod legs;
pub mod matching;
pub mod quality;
mod query;
mod rank_fusion;

pub use bm25::Bm25;
pub use query::{Query, any_of};
pub use rank_fusion::{RRF_K, reciprocal_rank_fusion};
