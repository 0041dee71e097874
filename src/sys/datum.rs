//! Values of PostgreSQL's and pgvector's types, by their layout in memory.
pub mod json;
pub mod text;
pub mod tsvector;
pub mod vector;
