//! The SQL functions, one file a word.
mod answer;
mod chunk;
mod collection;
mod credential;
mod document;
pub mod embed;
mod evaluate;
mod explain;
mod extract;
mod feedback;
mod generation;
mod grant;
mod import;
mod maintain;
mod model;
mod pause;
mod query_cache;
mod query_stats;
mod recall;
mod released;
mod rerank;
pub mod search;
mod shard;
pub mod status;
mod verify;
mod work;

/// A whole number that SQL gives as `bigint`, which drivers send for any, as `int`. What is too large for one becomes the largest: each bound refuses
/// both.
fn int4(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}
