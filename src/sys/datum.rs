//! Types that pgrx does not read or write, or not without a copy: `vector`, `tsvector`, `jsonb` and text.
pub mod json;
pub mod text;
pub mod tsvector;
pub mod vector;
