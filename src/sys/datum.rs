//! TODO
pub mod json;
pub mod text;
pub mod tsvector;
pub mod vector;
