//! The SQL functions, one file a word.
mod answer;
mod chunk;
mod collection;
pub mod embed;
mod explain;
mod feedback;
mod grant;
mod model;
mod rerank;
pub mod search;
mod verify;
mod work;
