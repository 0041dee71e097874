//! The SQL functions, one file a word.
mod answer;
mod chunk;
mod collection;
pub mod embed;
mod explain;
mod grant;
mod model;
mod rerank;
mod search;
mod verify;
mod work;
