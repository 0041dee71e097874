//! The SQL functions, one file a word.
mod collection;
mod embed;
mod model;
mod work;
