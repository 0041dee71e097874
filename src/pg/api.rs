//! The SQL functions, one file a word.
mod answer;
mod chunk;
mod collection;
mod credential;
pub mod embed;
mod evaluate;
mod explain;
mod feedback;
mod generation;
mod grant;
mod maintain;
mod model;
mod pause;
mod recall;
mod rerank;
pub mod search;
mod verify;
mod work;
