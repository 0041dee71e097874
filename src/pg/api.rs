//! The SQL functions, one file a word.
mod chunk;
mod collection;
mod embed;
mod grant;
mod model;
mod search;
mod work;
