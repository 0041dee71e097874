//! Types that pgrx does not read or write, or not without a copy: `vector`, `tsvector`, `jsonb`, `bytea` and text.
pub mod file;
pub mod json;
pub mod text;
pub mod tsvector;
pub mod vector;
